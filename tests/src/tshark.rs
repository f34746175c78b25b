//! tshark with the dissector of the stripe protocol, docs/striper.lua.

use crate::{Finished, Program, TempDir};

pub struct Tshark {
    program: Program,
    files: TempDir,
}

impl Tshark {
    /// Looks it up. If it is missing, skips the test.
    pub fn find() -> Option<Tshark> {
        let [program] = Program::find(["tshark"])?;
        Some(Tshark { program, files: TempDir::create() })
    }

    /// Reads a capture with the dissector, and no settings of a user. Without options, its lines
    /// have the text of each packet. Panics if the dissector fails.
    pub fn read(&self, capture: &[u8], options: &[&str]) -> String {
        let file = self.files.write("capture", capture);
        let script = concat!("lua_script:", env!("CARGO_MANIFEST_DIR"), "/../docs/striper.lua");
        let columns = "gui.column.format:\"Info\",\"%i\"";
        let mut command = self.program.command();
        command.env("WIRESHARK_CONFIG_DIR", self.files.join("none"));
        command.args(["-n", "-r", &file, "-X", script, "-o", columns]).args(options);
        let finished = Finished::of(&mut command);
        let said = [&*finished.stdout, &*finished.stderr];
        assert!(!said.iter().any(|text| text.contains("Lua Error")), "{finished:?}");
        finished.success()
    }
}
