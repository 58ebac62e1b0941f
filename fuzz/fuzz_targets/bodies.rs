#![no_main]

use std::sync::OnceLock;

use concert_tests::hard::Bodies;
use tokio::runtime::Runtime;

/// One service for the whole run.
fn service() -> &'static (Runtime, Bodies) {
    static SERVICE: OnceLock<(Runtime, Bodies)> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let bodies = runtime.block_on(Bodies::start());
        (runtime, bodies)
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (runtime, bodies) = service();
    runtime.block_on(bodies.send(data));
});
