#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| concert_tests::hard::forwarded(data));
