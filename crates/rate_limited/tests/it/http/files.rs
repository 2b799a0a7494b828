//! A process without file descriptors makes fewer connections; its calls do not fail for it.

use std::env;
use std::fs::File;
use std::process::Command;

use rate_limited::http::Client;
use rate_limited_core::Class;

const CHILD: &str = "RATE_LIMITED_TEST_OUT_OF_FILES";

#[test]
#[cfg(unix)]
fn out_of_files_is_not_sent() {
    // The limit is of the whole process, so that the test needs one of its own.
    let child = Command::new("sh")
        .args([
            "-c",
            r#"ulimit -n 64 && exec "$0" --exact http::files::child --nocapture"#,
        ])
        .arg(env::current_exe().unwrap())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    assert!(
        child.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

/// The part of the test above that runs in a process of its own.
#[tokio::test]
async fn child() {
    if env::var_os(CHILD).is_none() {
        return;
    }
    let client = Client::builder("http://127.0.0.1:1")
        .proxy_from_env(false)
        .build()
        .unwrap();
    let hoard: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    let error = client.post("/", "{}".into()).await.unwrap_err();
    drop(hoard);
    assert_eq!(
        (error.class(), error.code()),
        (Class::NotSent, "connection"),
        "{error}"
    );
    assert!(error.is_out_of_files(), "{error}");
}
