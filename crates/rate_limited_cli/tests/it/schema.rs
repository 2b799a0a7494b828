//! Answers that must fit a JSON Schema.

use std::fs;
use std::process::Output;

use serde_json::json;

use crate::apis::{Sent, World, expect, told};
use crate::world::command;

const SCHEMA: &str = r#"{"type": "object", "required": ["mood"], "properties": {"mood": {"enum": ["good", "bad"]}}}"#;

fn chat(text: &str) -> (u16, String) {
    let usage = json!({"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7});
    let choices = json!([{"message": {"content": text}}]);
    (200, json!({"choices": choices, "usage": usage}).to_string())
}

/// What a row asks: the prompt of its request.
fn asked(sent: &Sent) -> &str {
    sent.body["messages"][0]["content"]
        .as_str()
        .expect("a prompt")
}

fn run(world: &World, output: &str, args: &[&str]) -> Output {
    fs::write(world.path("schema.json"), SCHEMA).expect("room");
    fs::write(
        world.path("in.csv"),
        "id,text\n1,fenced\n2,second time\n3,never\n",
    )
    .expect("room");
    let url = world.url("/v1");
    let all = [
        "run",
        "in.csv",
        "-o",
        output,
        "--base-url",
        &url,
        "--prompt",
        "{{text}}",
    ];
    let check = ["--schema", "schema.json", "--max-retries", "2"];
    let mut command = command(&world.path(""), &[&all[..], &check, args].concat());
    command.output().expect("it runs")
}

fn answering() -> World {
    let seconds = std::sync::atomic::AtomicU32::new(0);
    World::new(move |_, sent| match asked(sent) {
        "fenced" => chat("```json\n{\"mood\": \"good\"}\n```"),
        "second time" if seconds.fetch_add(1, std::sync::atomic::Ordering::SeqCst) > 0 => {
            chat(r#"{"mood": "bad"}"#)
        }
        "second time" => chat("I would say bad."),
        _ => chat(r#"{"mood": "meh"}"#),
    })
}

#[test]
fn answers_that_do_not_fit_are_asked_again_and_the_last_one_is_kept() {
    let world = answering();
    let output = run(&world, "out.csv", &[]);
    expect(&output, 1);
    let table = fs::read_to_string(world.path("out.csv")).expect("a table");
    let fault = "validation: the answer does not fit the schema: at '/mood': value must be one of 'good', 'bad'";
    assert_eq!(
        table,
        format!(
            "id,text,answer,error,attempts,tokens\n1,fenced,\"{{\"\"mood\"\": \"\"good\"\"}}\",,1,7\n\
             2,second time,\"{{\"\"mood\"\": \"\"bad\"\"}}\",,2,7\n\
             3,never,\"{{\"\"mood\"\": \"\"meh\"\"}}\",\"{fault}\",3,\n"
        )
    );
    assert_eq!(world.sent().len(), 6);
    assert!(
        told(&output).contains("1 × validation"),
        "{}",
        told(&output)
    );
    // What is done stays; what failed is asked again if that is wanted.
    expect(&run(&world, "out.csv", &[]), 1);
    assert_eq!(world.sent().len(), 6);
    expect(&run(&world, "out.csv", &["--retry-failed"]), 1);
    assert_eq!(world.sent().len(), 9);
}

#[test]
fn the_line_of_a_call_without_a_good_answer_has_the_last_one() {
    let world = answering();
    expect(&run(&world, "out.jsonl", &[]), 1);
    let lines = world.lines();
    let line = &lines[2];
    assert_eq!(line["error"]["code"], "validation", "{line}");
    assert_eq!(
        (&line["error"]["class"], &line["error"]["attempts"]),
        (&json!("invalid"), &json!(3))
    );
    let text = &line["response"]["body"]["choices"][0]["message"]["content"];
    assert_eq!(text, r#"{"mood": "meh"}"#);
    assert_eq!(lines[0]["error"], json!(null));
}

#[test]
fn answers_that_do_not_fit_cost_what_they_used() {
    let world = answering();
    // 5 tokens of a prompt and 2 of an answer, six times.
    let cost = [
        "--max-cost",
        "1",
        "--price",
        "input=1,output=10",
        "--max-tokens",
        "9",
    ];
    let output = run(&world, "out.csv", &cost);
    expect(&output, 1);
    assert!(
        told(&output).contains("cost: $0.000150 of $1.00"),
        "{}",
        told(&output)
    );
}

#[test]
fn a_schema_that_cannot_be_used_is_told_before_anything_is_sent() {
    let world = answering();
    fs::write(world.path("other.json"), r#"{"type": "objct"}"#).expect("room");
    for (name, fault) in [
        ("none.json", "No such file"),
        ("other.json", "at '/type': "),
    ] {
        fs::write(world.path("in.jsonl"), "{\"messages\": []}\n").expect("room");
        let output = world.run("/v1", &["--schema", name]);
        expect(&output, 2);
        let told = told(&output);
        let parts = [
            &*format!("the schema {name} cannot be used: "),
            fault,
            "name another --schema",
        ];
        assert!(parts.iter().all(|part| told.contains(part)), "{told}");
    }
    assert!(world.sent().is_empty());
}
