//! The limit beside which the import is put: a raw COPY of the same rows into copies of the same tables, with
//! the same indexes, on the same server, timed by psql.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use outbound::Url;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Seconds of both COPYs, and the rows of each.
#[derive(Debug)]
pub struct Copied {
    /// Seconds for `drive_items` and `documents` together.
    pub seconds: f64,
    /// Rows of `drive_items`.
    pub items: u64,
    /// Rows of `documents`.
    pub documents: u64,
}

/// Copies both tables as they are now.
pub async fn measure(url: &str, folder: &Path) -> Result<Copied> {
    let (items, documents) = (folder.join("items.copy"), folder.join("documents.copy"));
    let script = format!(
        "CREATE TABLE copied_items (LIKE drive_items INCLUDING ALL);
CREATE TABLE copied_documents (LIKE documents INCLUDING ALL);
\\copy (SELECT * FROM drive_items ORDER BY changed_seq, item_id) TO '{items}'
\\copy (SELECT * FROM documents ORDER BY id) TO '{documents}'
\\timing on
\\copy copied_items FROM '{items}'
\\copy copied_documents FROM '{documents}'
\\timing off
SELECT 'rows ' || (SELECT count(*) FROM copied_items) || ' ' || (SELECT count(*) FROM copied_documents);
DROP TABLE copied_items, copied_documents;
",
        items = items.display(),
        documents = documents.display(),
    );
    let output = psql(url, &script).await?;
    let times: Vec<f64> = output
        .lines()
        .filter_map(|line| {
            line.strip_prefix("Time: ")?.split_whitespace().next()?.replace(',', ".").parse().ok()
        })
        .collect();
    ensure!(times.len() == 2, "psql timed {times:?}: {output}");
    let rows = output.lines().find_map(|line| line.strip_prefix("rows ")).context("no row counts")?;
    let (left, right) = rows.split_once(' ').context("two row counts")?;
    for file in [items, documents] {
        std::fs::remove_file(file)?;
    }
    Ok(Copied {
        seconds: times.iter().sum::<f64>() / 1000.0,
        items: left.parse()?,
        documents: right.parse()?,
    })
}

/// Seconds for one table's rows, which `condition` chooses.
pub async fn table(url: &str, folder: &Path, table: &str, condition: &str) -> Result<f64> {
    let file = folder.join("table.copy");
    let script = format!(
        "CREATE TABLE copied_rows (LIKE {table} INCLUDING ALL);
\\copy (SELECT * FROM {table} WHERE {condition}) TO '{file}'
\\timing on
\\copy copied_rows FROM '{file}'
\\timing off
DROP TABLE copied_rows;
",
        file = file.display(),
    );
    let output = psql(url, &script).await?;
    std::fs::remove_file(file)?;
    let time = output.lines().find_map(|line| line.strip_prefix("Time: ")?.split_whitespace().next());
    Ok(time.context("psql timed nothing")?.replace(',', ".").parse::<f64>()? / 1000.0)
}

async fn psql(url: &str, script: &str) -> Result<String> {
    let url = Url::parse(url)?;
    let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut child = Command::new(program())
        .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"])
        // Not on the command line, where everybody could read the password.
        .env("PGHOST", url.host_str().unwrap_or("127.0.0.1"))
        .env("PGPORT", url.port().unwrap_or(5432).to_string())
        .env("PGUSER", decode(url.username()))
        .env("PGPASSWORD", decode(url.password().unwrap_or_default()))
        .env("PGDATABASE", decode(url.path().trim_start_matches('/')))
        .env_remove("PGOPTIONS")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("starting psql")?;
    let mut input = child.stdin.take().context("psql without an input")?;
    input.write_all(script.as_bytes()).await?;
    drop(input);
    let output = child.wait_with_output().await?;
    ensure!(output.status.success(), "psql: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `psql`, also where only the server's package is installed and it is not on PATH.
fn program() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|version| version.path().join("bin/psql"))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| "psql".into())
}
