//! Published vectors for the tests, from the folder that `SYNCLINE_FIXTURES` names.

/// The JSON at `path` under the fixture folder; `None`, with a message, where there is none.
pub fn read(path: &str) -> Option<serde_json::Value> {
    let Some(folder) = std::env::var_os("SYNCLINE_FIXTURES") else {
        eprintln!("skipped: SYNCLINE_FIXTURES is not set, {path} not compared");
        return None;
    };
    let file = std::path::Path::new(&folder).join(path);
    match std::fs::read(&file) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).expect("a fixture is JSON")),
        Err(error) => {
            eprintln!("skipped: {}: {error}", file.display());
            None
        }
    }
}
