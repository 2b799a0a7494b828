//! Inputs of any length, handed out as they end.

use rate_limited::{AttemptError, Inputs, Resource, Runner};
use std::io::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

#[tokio::test]
async fn an_iterator_is_taken_only_a_few_thousand_in_advance() {
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    let inputs = (0..50_000_u64).inspect(move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
    });
    let mut runner = Runner::new(|n: u64| async move { Ok::<_, Error>(n) });
    let (mut ended, mut sum, mut ahead) = (0_u64, 0, 0);
    let summary = runner
        .run_each(Inputs::iterate(inputs), |finished| {
            ended += 1;
            sum += finished.result.value.expect("it succeeds");
            ahead = ahead.max(taken.load(Ordering::SeqCst) - ended);
        })
        .await
        .expect("a sound runner");
    assert_eq!(summary.progress.done, 50_000, "{summary:?}");
    assert_eq!((ended, sum), (50_000, 50_000 * 49_999 / 2));
    assert_eq!(summary.stop, None);
    assert!(ahead < 10_000, "{ahead} were taken and not ended");
}

#[tokio::test(start_paused = true)]
async fn a_channel_feeds_a_run_until_its_senders_are_gone() {
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move {
        for n in 0..10 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sender.send(n).await.expect("the run listens");
        }
    });
    let mut runner = Runner::new(|n: u32| async move { Ok::<_, Error>(n) })
        .resource(Resource::per_minute("r", 5).cost(|n| *n))
        .tokio_clock();
    let (mut done, mut misfits) = (Vec::new(), Vec::new());
    let summary = runner
        .run_each(Inputs::channel(receiver), |finished| {
            if let Some(value) = finished.result.value {
                done.push(value);
            } else {
                let errors = &finished.result.errors[..];
                assert!(matches!(errors, [AttemptError::NeverFits(_)]));
                misfits.push(finished.index);
            }
        })
        .await
        .expect("a sound runner");
    done.sort_unstable();
    assert_eq!((done, misfits), (vec![0, 1, 2, 3, 4, 5], vec![6, 7, 8, 9]));
    assert_eq!(summary.progress.done, 6);
}
