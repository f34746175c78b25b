-- Dissects the stripe protocol in Wireshark and tshark (3.6 or newer). PROTOCOL.md specifies the
-- bytes, and docs/wire.md explains the use.
--
-- Lua 5.2 has no 64-bit integers, so each varint is a UInt64 of Wireshark. Bytes come from peers
-- and may be hostile: `Reader` checks each length before it reads.

local striper = Proto("striper", "striper stripe protocol")

local MAGIC = "striper"
local VERSION = 1
local MAX_HELLO = 16384
local MAX_FRAME = 131072
local MAX_CONTROL = 1024
local MAX_OPAQUE = 512
-- A HELLO's magic, version, and the longest length.
local MAX_HELLO_HEAD = 11
-- No integer is longer.
local MAX_VARINT = 9
local MAX_OFFSET = UInt64.new(0xffffffff, 0x3fffffff)

local HELLO_KINDS = { [0] = "create", [1] = "join", [2] = "accept", [3] = "refuse" }

local REFUSALS = {
  [1] = "the session does not exist",
  [2] = "the stripe number has been used",
  [3] = "too many stripes or sessions",
  [4] = "the server is shutting down",
  [5] = "the server does not speak this version",
  [6] = "the server takes only callers with a key",
  [7] = "the server has no key",
}

local REASONS = {
  [0] = "the connection broke",
  [1] = "connection refused",
  [2] = "unreachable",
  [3] = "timed out",
  [4] = "unknown host",
  [5] = "not allowed",
  [6] = "unavailable",
  [7] = "session lost",
}

local CLOSES = { [0] = "done", [1] = "stopped", [2] = "the receiver broke the protocol" }

local FRAMES = {
  [0x01] = "OPEN",
  [0x03] = "ACCEPT",
  [0x05] = "REFUSE",
  [0x07] = "DATA",
  [0x09] = "RESET",
  [0x0b] = "CREDIT",
  [0x0d] = "GRANT",
  [0x0f] = "ACK",
  [0x11] = "STRIPE_GONE",
  [0x13] = "PING",
  [0x15] = "PONG",
  [0x17] = "DRAIN",
  [0x19] = "CLOSE",
  [0x1a] = "BLOCKED",
}

local HELLO_OPTIONS = { [2] = "gone stripes" }

local OPEN_OPTIONS = {
  [1] = "target",
  [2] = "addresses of the program",
  [3] = "Unix socket",
  [5] = "listen",
  [7] = "connection to a listener",
}

local f = {
  magic = ProtoField.string("striper.magic", "Magic"),
  version = ProtoField.uint8("striper.version", "Version"),
  length = ProtoField.uint64("striper.length", "Length"),
  hello = ProtoField.uint64("striper.hello", "HELLO", base.DEC, HELLO_KINDS),
  session = ProtoField.bytes("striper.session", "Session"),
  instance = ProtoField.uint64("striper.instance", "Instance", base.HEX),
  refusal = ProtoField.uint64("striper.refusal", "Code", base.DEC, REFUSALS),
  type = ProtoField.uint64("striper.type", "Type", base.HEX, FRAMES),
  flow = ProtoField.uint64("striper.flow", "Flow"),
  offset = ProtoField.uint64("striper.offset", "Offset"),
  final_offset = ProtoField.uint64("striper.final_offset", "Final offset"),
  flags = ProtoField.uint64("striper.flags", "Flags", base.HEX, { [0] = "none", [1] = "FIN" }),
  reason = ProtoField.uint64("striper.reason", "Reason", base.DEC, REASONS),
  early = ProtoField.uint64("striper.early", "Early credit"),
  credit = ProtoField.uint64("striper.credit", "Credit"),
  limit = ProtoField.uint64("striper.limit", "Limit"),
  flows = ProtoField.uint64("striper.flows", "Flows"),
  stripe = ProtoField.uint64("striper.stripe", "Stripe"),
  count = ProtoField.uint64("striper.count", "Count"),
  received = ProtoField.uint64("striper.received", "Received"),
  nonce = ProtoField.uint64("striper.nonce", "Nonce"),
  close = ProtoField.uint64("striper.close", "Code", base.DEC, CLOSES),
  payload = ProtoField.bytes("striper.payload", "Payload"),
  opaque_length = ProtoField.uint64("striper.opaque_length", "Opaque length"),
  hello_option = ProtoField.uint64("striper.hello.option", "Option", base.DEC, HELLO_OPTIONS),
  open_option = ProtoField.uint64("striper.open.option", "Option", base.DEC, OPEN_OPTIONS),
  option_length = ProtoField.uint64("striper.option_length", "Option length"),
  option_value = ProtoField.bytes("striper.option_value", "Option value"),
  host = ProtoField.string("striper.target.host", "Host", base.UNICODE),
  port = ProtoField.uint16("striper.target.port", "Port"),
  path = ProtoField.string("striper.target.path", "Path", base.UNICODE),
  source = ProtoField.ipv4("striper.program.source", "Source"),
  source6 = ProtoField.ipv6("striper.program.source6", "Source"),
  destination = ProtoField.ipv4("striper.program.destination", "Destination"),
  destination6 = ProtoField.ipv6("striper.program.destination6", "Destination"),
  source_port = ProtoField.uint16("striper.program.source_port", "Source port"),
  destination_port = ProtoField.uint16("striper.program.destination_port", "Destination port"),
  listener = ProtoField.uint64("striper.listener", "Listener"),
  listen_port = ProtoField.uint16("striper.listen.port", "Port"),
  listen = ProtoField.ipv4("striper.listen.address", "Address"),
  listen6 = ProtoField.ipv6("striper.listen.address6", "Address"),
  unknown = ProtoField.bytes("striper.unknown", "Unknown"),
}

local malformed = ProtoExpert.new("striper.malformed", "The peer breaks the protocol",
  expert.group.MALFORMED, expert.severity.ERROR)
local not_allowed = ProtoExpert.new("striper.open.malformed", "The flow will be refused",
  expert.group.PROTOCOL, expert.severity.WARN)
local cut = ProtoExpert.new("striper.cut", "The capture lacks the rest of this packet",
  expert.group.UNDECODED, expert.severity.NOTE)

local fields = {}
for _, field in pairs(f) do fields[#fields + 1] = field end
striper.fields = fields
striper.experts = { malformed, not_allowed, cut }

-- The value and the size of the varint at `at`. Without a value, the second result says why.
local function varint(tvb, at, stop)
  local value = UInt64(0)
  for n = 0, MAX_VARINT - 1 do
    if at + n >= stop then return nil, "cut" end
    local byte = tvb(at + n, 1):uint()
    value = value + UInt64(byte % 128):lshift(7 * n)
    if byte < 128 then
      if byte == 0 and n > 0 then return nil, "an integer is not in its shortest form" end
      if value > MAX_OFFSET then break end
      return value, n + 1
    end
  end
  return nil, "an integer is beyond 2^62 - 1"
end

-- Reads fields one after another and adds them to a tree. What does not fit is thrown as a table
-- with a text, and `guard` catches it.
local Reader = {}
Reader.__index = Reader

function Reader.new(tvb, at, stop, tree)
  return setmetatable({ tvb = tvb, at = at, stop = stop, tree = tree }, Reader)
end

local function fail(text) error({ text = text }, 0) end

function Reader:left() return self.stop - self.at end

function Reader:number(field)
  local value, size = varint(self.tvb, self.at, self.stop)
  if value == nil then
    fail(size == "cut" and "a field is longer than its frame" or size)
  end
  local item = self.tree:add(field, self.tvb(self.at, size), value)
  self.at = self.at + size
  return value, item
end

-- A range of so many bytes. The size is a number of Lua, or a UInt64.
function Reader:take(size)
  if UInt64(0) + size > UInt64(self:left()) then fail("a field is longer than its frame") end
  size = type(size) == "number" and size or size:tonumber()
  local at = self.at
  self.at = at + size
  return at, size
end

function Reader:bytes(field, size)
  local at, taken = self:take(size)
  if taken == 0 then return nil end
  return self.tree:add(field, self.tvb(at, taken)), self.tvb(at, taken)
end

function Reader:end_of(what)
  if self:left() > 0 then fail(what .. " has bytes behind its fields") end
end

-- Runs a function; what it throws as malformed becomes expert information `note`.
local function guard(note, item, run)
  local good, problem = pcall(run)
  if good then return true end
  if type(problem) ~= "table" then error(problem, 0) end
  item:add_proto_expert_info(note, problem.text)
  item:append_text(" [" .. problem.text .. "]")
  return false
end

-- Key, length and value, again and again. `read` gets the key and a reader of the value.
local function options(reader, key_field, read)
  while reader:left() > 0 do
    local key, item = reader:number(key_field)
    local length = reader:number(f.option_length)
    local at, size = reader:take(length)
    local value = Reader.new(reader.tvb, at, at + size, item)
    read(key:tonumber(), value, item)
  end
end

local function skip_or_fail(key, value)
  if key % 2 == 1 then fail("an unknown critical option") end
  value:bytes(f.option_value, value:left())
end

local function hello_body(reader, item)
  local kind = reader:number(f.hello):tonumber()
  if HELLO_KINDS[kind] == nil then fail("an unknown kind of HELLO") end
  reader:bytes(f.session, 16)
  local stripe = reader:number(f.stripe)
  if kind == 2 then reader:bytes(f.instance, 8) end
  if kind == 3 then reader:number(f.refusal) end
  options(reader, f.hello_option, function(key, value)
    if key ~= 2 then return skip_or_fail(key, value) end
    while value:left() > 0 do
      value:number(f.stripe)
      value:number(f.received)
    end
  end)
  local text = "HELLO " .. HELLO_KINDS[kind] .. ", stripe " .. tostring(stripe)
  item:append_text(": " .. text)
  return text
end

local function address(value, v4, v6, size) value:bytes(size == 4 and v4 or v6, size) end

local OPEN_READERS = {
  [1] = function(value)
    value:bytes(f.port, 2)
    if value:left() < 1 or value:left() > 255 then fail("a host has 1 to 255 bytes") end
    value:bytes(f.host, value:left())
  end,
  [2] = function(value)
    local size = value:left() == 12 and 4 or 16
    address(value, f.source, f.source6, size)
    address(value, f.destination, f.destination6, size)
    value:bytes(f.source_port, 2)
    value:bytes(f.destination_port, 2)
  end,
  [3] = function(value)
    if value:left() < 1 or value:left() > 107 then fail("a path has 1 to 107 bytes") end
    value:bytes(f.path, value:left())
  end,
  [5] = function(value)
    value:number(f.listener)
    value:bytes(f.listen_port, 2)
    local size = value:left()
    if size ~= 4 and size ~= 16 then fail("an address has 4 or 16 bytes") end
    address(value, f.listen, f.listen6, size)
  end,
  [7] = function(value) value:number(f.listener) end,
}

local function open_option(key, value)
  local read = OPEN_READERS[key]
  if read == nil then return skip_or_fail(key, value) end
  read(value)
  value:end_of("the option")
end

local function payload(reader)
  local size = reader:left()
  reader:bytes(f.payload, size)
  return size
end

-- What the fields of each type are; each function returns text for the list of packets.
local READERS = {
  [0x01] = function(reader, item)
    local flow = reader:number(f.flow)
    reader:number(f.early)
    reader:number(f.credit)
    local length = reader:number(f.opaque_length)
    if length > UInt64(MAX_OPAQUE) then fail("an opaque field over 512 bytes") end
    local at, size = reader:take(length)
    guard(not_allowed, item, function()
      options(Reader.new(reader.tvb, at, at + size, reader.tree), f.open_option, open_option)
    end)
    return string.format("%s [%d]", tostring(flow), payload(reader))
  end,
  [0x03] = function(reader) return tostring(reader:number(f.flow)) end,
  [0x05] = function(reader)
    local flow = reader:number(f.flow)
    reader:number(f.reason)
    return tostring(flow)
  end,
  [0x07] = function(reader)
    local flow = reader:number(f.flow)
    local offset = reader:number(f.offset)
    local flags = reader:number(f.flags)
    if flags > UInt64(1) then fail("unknown flags") end
    local fin = flags == UInt64(1)
    local size = payload(reader)
    if size == 0 and not fin then fail("DATA without bytes and FIN") end
    if offset + UInt64(size) > MAX_OFFSET then fail("an offset beyond 2^62 - 1") end
    local text = string.format("%s @%s [%d]", tostring(flow), tostring(offset), size)
    return fin and text .. " FIN" or text
  end,
  [0x09] = function(reader)
    local flow = reader:number(f.flow)
    reader:number(f.reason)
    reader:number(f.final_offset)
    return tostring(flow)
  end,
  [0x0b] = function(reader)
    local flow = reader:number(f.flow)
    return tostring(flow) .. " to " .. tostring(reader:number(f.limit))
  end,
  [0x0d] = function(reader)
    reader:number(f.flows)
    reader:number(f.early)
  end,
  [0x0f] = function(reader)
    local counts = {}
    repeat
      local stripe = reader:number(f.stripe)
      counts[#counts + 1] = tostring(stripe) .. ":" .. tostring(reader:number(f.count))
    until reader:left() == 0
    return table.concat(counts, " ")
  end,
  [0x11] = function(reader)
    local stripe = reader:number(f.stripe)
    return tostring(stripe) .. ":" .. tostring(reader:number(f.received))
  end,
  [0x13] = function(reader) return tostring(reader:number(f.nonce)) end,
  [0x15] = function(reader) return tostring(reader:number(f.nonce)) end,
  [0x17] = function() end,
  [0x19] = function(reader) return tostring(reader:number(f.close)) end,
  [0x1a] = function(reader)
    local flow = reader:number(f.flow)
    return tostring(flow) .. " at " .. tostring(reader:number(f.limit))
  end,
}

local function frame_body(reader, item)
  local length = reader:left()
  local kind = reader:number(f.type):tonumber()
  local read = READERS[kind]
  if read == nil then
    if kind % 2 == 1 then fail("an unknown critical frame") end
    reader:bytes(f.unknown, reader:left())
    item:append_text(": unknown, skipped")
    return "unknown frame"
  end
  local has_payload = kind == 0x01 or kind == 0x07
  if not has_payload and length > MAX_CONTROL then fail("too long for a frame without payload") end
  local text = read(reader, item)
  reader:end_of("the frame")
  local name = text == nil and FRAMES[kind] or FRAMES[kind] .. " " .. text
  item:append_text(": " .. name)
  return name
end

-- Whether a HELLO begins here. A frame that begins with these bytes would have the unknown type
-- 0x74, so no state of the stripe is needed.
local function is_hello(tvb, at, stop)
  local there = math.min(stop - at, #MAGIC)
  return tvb(at, there):raw() == MAGIC:sub(1, there)
end

-- Where the length field and the body of the message at `at` begin, the body's size, its reader,
-- and the bound on the size. `nil` if more bytes are needed, and how many at least.
local function head(tvb, at, stop)
  local begin, most, body = at, MAX_FRAME, frame_body
  if is_hello(tvb, at, stop) then
    begin, most, body = at + #MAGIC + 1, MAX_HELLO, hello_body
    if begin >= stop then return nil end
  end
  local value, size = varint(tvb, begin, stop)
  if value == nil then
    if size == "cut" then return nil end
    return { problem = size, at = begin, body = body }
  end
  local found = { at = begin, start = begin + size, size = value:tonumber(), body = body }
  found.value = value
  if value > UInt64(most) then found.problem = "longer than allowed" end
  if value == UInt64(0) then found.problem = "a message without a body" end
  return found
end

-- Dissects the message at `at`. Returns where it ends and its text; or nothing and the number of
-- missing bytes, 0 for an unknown number; or nothing at all, when the rest can't be understood.
local function message(tvb, at, root)
  local stop = tvb:captured_len()
  local found = head(tvb, at, stop)
  if found == nil then return nil, DESEGMENT_ONE_MORE_SEGMENT end
  local finish = found.problem and stop or found.start + found.size
  if finish > stop then return nil, finish - stop end
  local item = root:add(striper, tvb(at, finish - at))
  local text
  local good = guard(malformed, item, function()
    if found.at > at then
      item:add(f.magic, tvb(at, #MAGIC))
      item:add(f.version, tvb(at + #MAGIC, 1))
    end
    if found.problem then fail(found.problem) end
    item:add(f.length, tvb(found.at, found.start - found.at), found.value)
    if found.at > at and tvb(at + #MAGIC, 1):uint() ~= VERSION then
      item:add(f.unknown, tvb(found.start, found.size))
      text = "HELLO of another version"
      return
    end
    text = found.body(Reader.new(tvb, found.start, finish, item), item)
  end)
  if not good then return stop, "malformed" end
  return finish, text
end

function striper.dissector(tvb, pinfo, root)
  local at, stop, texts = 0, tvb:captured_len(), {}
  pinfo.cols.protocol = "striper"
  while at < stop do
    local finish, text = message(tvb, at, root)
    if finish == nil then
      if stop < tvb:reported_len() then
        root:add(striper, tvb(at)):add_proto_expert_info(cut)
        break
      end
      pinfo.desegment_offset = at
      pinfo.desegment_len = text
      break
    end
    texts[#texts + 1] = text
    at = finish
  end
  if #texts > 0 then
    -- The dissector runs again for what follows in the same packet.
    pinfo.cols.info:set(table.concat(texts, ", ") .. " ")
    pinfo.cols.info:fence()
  end
  return tvb:reported_len()
end

local function heuristic(tvb, pinfo, root)
  if tvb:captured_len() < #MAGIC + 1 or not is_hello(tvb, 0, tvb:captured_len()) then
    return false
  end
  striper.dissector(tvb, pinfo, root)
  pinfo.conversation = striper
  return true
end

striper:register_heuristic("tcp", heuristic)
-- Inside TLS, if Wireshark has the key log.
DissectorTable.get("tls.alpn"):add("striper/1", striper)
-- For a capture without the first packets of a stripe: "Decode As".
DissectorTable.get("tcp.port"):add_for_decode_as(striper)
