//! The model that an answer names: whether it is said that it is another one than was asked for.

use std::fs;

use serde_json::json;

use crate::apis::World;

/// A request to a model, and an answer that names one.
struct Row {
    api: &'static str,
    base: &'static str,
    asked: &'static str,
    answered: serde_json::Value,
    /// What the warning names; `None`: there is none.
    warned: Option<(&'static str, &'static str)>,
}

fn row(asked: &'static str, answered: serde_json::Value) -> Row {
    Row {
        api: "openai",
        base: "/v1",
        asked,
        answered,
        warned: None,
    }
}

fn rows() -> Vec<Row> {
    let long: &'static str = Box::leak(format!("{}…", "m".repeat(80)).into_boxed_str());
    let warned = |row: Row, by| Row {
        warned: Some(by),
        ..row
    };
    vec![
        row("gpt-4o", json!("gpt-4o")),
        row("gpt-4o", json!("gpt-4o-2024-08-06")),
        row("openai/gpt-4o", json!("gpt-4o")),
        // What is no name is none.
        row("gpt-4o", json!(null)),
        row("gpt-4o", json!("  ")),
        row("gpt-4o", json!({"name": "gpt-4o-mini"})),
        warned(
            row("gpt-4o", json!("gpt-4o-mini-2024-07-18")),
            ("gpt-4o", "gpt-4o-mini-2024-07-18"),
        ),
        warned(
            row("gpt-4o", json!("a\u{1b}[31m\nb")),
            ("gpt-4o", r"a\u{1b}[31m\nb"),
        ),
        warned(row("gpt-4o", json!("m".repeat(100_000))), ("gpt-4o", long)),
        // A deployment has a name of its own.
        Row {
            api: "azure_openai",
            ..row("mine", json!("gpt-4o-2024-08-06"))
        },
        Row {
            api: "anthropic",
            ..row("claude-opus-4-0", json!("claude-opus-4-20250514"))
        },
        warned(
            Row {
                api: "anthropic",
                ..row("claude-opus-4-1", json!("claude-haiku-4-5-20251001"))
            },
            ("claude-opus-4-1", "claude-haiku-4-5-20251001"),
        ),
    ]
}

#[test]
fn an_answer_of_another_model_is_told_once_and_kept() {
    for row in rows() {
        let answered = row.answered.clone();
        let world = World::new(move |_, _| {
            let answer = json!({"model": answered, "usage": {"total_tokens": 7}, "text": "SECRET"});
            (200, answer.to_string())
        });
        let body = json!({"model": row.asked, "max_tokens": 5, "messages": []}).to_string();
        world.input(&[body.as_str(); 5]);
        let args = ["--api", row.api, "--limit", "requests=1000/1m"];
        let output = world.run(row.base, &args);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert_eq!(world.sent().len(), 5);
        assert_eq!(world.lines().len(), 5);
        let warnings: Vec<_> = told.lines().filter(|it| it.contains("warning: ")).collect();
        match row.warned {
            None => assert!(warnings.is_empty(), "{}: {told}", row.asked),
            Some((asked, answered)) => {
                let [warning] = warnings[..] else {
                    panic!("{}: {told}", row.asked)
                };
                let names =
                    format!("{asked} was asked for, and answers name the model {answered}:");
                assert!(warning.contains(&names), "{warning}");
            }
        }
        assert!(!told.contains("SECRET"), "{told}");
    }
}

#[test]
fn each_pair_of_models_is_told_and_a_few_of_them_at_most() {
    let world = World::new(|number, sent| {
        let model = if sent.body["model"] == "many" {
            format!("other-{number}b")
        } else {
            "c".to_owned()
        };
        (200, json!({"model": model}).to_string())
    });
    let of = |model: &str| json!({"model": model, "messages": []}).to_string();
    let some = [of("a"), of("b"), of("c"), of("a")];
    world.input(&some.each_ref().map(String::as_str));
    let output = world.run("/v1", &["--api", "openai", "--limit", "requests=1000/1m"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        told.matches("answers name the model c").count(),
        2,
        "{told}"
    );

    fs::remove_file(world.path("out.jsonl")).expect("an output");
    world.input(&[of("many").as_str(); 50]);
    let output = world.run("/v1", &["--no-journal", "--limit", "requests=1000/1m"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(told.matches("answers name the model").count(), 20, "{told}");

    fs::remove_file(world.path("out.jsonl")).expect("an output");
    let quiet = ["--no-journal", "--quiet", "--limit", "requests=1000/1m"];
    let output = world.run("/v1", &quiet);
    assert!(output.stderr.is_empty());
}
