use std::sync::OnceLock;

use tokio::runtime::Runtime;

/// Runs work on threads that last as long as the test program: connections live on the runtime
/// that made them, and a test's own runtime has one thread and ends with the test.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime")
    });
    match runtime.spawn(work).await {
        Ok(value) => value,
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}
