//! How the program is built, packed and licensed.

mod licences;
mod one_feature_set;
mod packages;
