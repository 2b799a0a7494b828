use std::collections::HashSet;
use std::path::Path;

use rate_limited_cli::reading::bad_line::BadLinePolicy;
use rate_limited_cli::reading::scan::scan_file_each;

#[test]
fn the_poems_are_requests_of_very_different_sizes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/poems.jsonl");
    let mut requests = Vec::new();
    let scan = scan_file_each(&path, BadLinePolicy::Fail, |request| {
        requests.push(request.clone());
    });
    let scan = scan.expect("a good file");
    assert_eq!((scan.requests, scan.lines), (240, 240));
    assert!(scan.bytes < 400_000, "{} bytes", scan.bytes);
    let ids: Vec<_> = requests
        .iter()
        .filter_map(|request| request.custom_id.clone())
        .collect();
    let expected: Vec<_> = (1..=240)
        .map(|number| format!("poem-{number:03}"))
        .collect();
    assert_eq!(ids, expected);
    assert!(
        requests
            .iter()
            .all(|request| request.model.as_deref() == Some("sim-small"))
    );
    let answers: HashSet<_> = requests
        .iter()
        .filter_map(|request| request.max_tokens)
        .collect();
    assert!(answers.contains(&16) && answers.contains(&2_000) && answers.len() > 5);
    let chars = requests.iter().map(|request| request.prompt.chars);
    assert!(chars.clone().min() < Some(60) && chars.max() > Some(5_000));
}
