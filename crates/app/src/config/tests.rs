use clap::{CommandFactory, Parser};

use super::*;

#[derive(Debug, Parser)]
struct Only {
    #[command(flatten)]
    config: Config,
    #[command(flatten)]
    log: LogArgs,
}

/// Parses flags with the environment left out, so that a test never depends on where it runs.
fn parsed(flags: &[&str]) -> Result<Config, clap::Error> {
    use clap::FromArgMatches;
    let command = Only::command().mut_args(|argument| argument.env(None::<&str>));
    let matches = command.try_get_matches_from(std::iter::once(&"concert").chain(flags))?;
    Ok(Only::from_arg_matches(&matches)?.config)
}

fn refusal(flags: &[&str]) -> String {
    ConfigError::from_clap(&parsed(flags).unwrap_err()).unwrap().to_string()
}

#[test]
fn nothing_said_is_the_default() {
    assert_eq!(parsed(&[]).unwrap(), Config::default());
}

#[test]
fn every_flag_is_an_environment_variable_of_the_same_name() {
    for argument in Only::command().get_arguments() {
        let flag = argument.get_long().unwrap();
        let variable = flag.replace('-', "_").to_ascii_uppercase();
        assert_eq!(argument.get_env().unwrap().to_str(), Some(variable.as_str()));
        assert!(argument.get_help().is_some(), "{flag} is not explained");
    }
}

#[test]
fn values_in_range_are_taken() {
    let config = parsed(&[
        "--hold-ttl=300ms",
        "--queue-waiting-ttl=30d",
        "--queue-active-limit=1000000",
        "--http-addr=localhost:0",
        "--database-url=sqlite:///srv/concert.db",
        "--roles=worker",
        "--seed-demo",
        "--migrate-on-start=false",
    ])
    .unwrap();
    assert_eq!(config.hold_ttl, Duration::from_millis(300));
    assert_eq!(config.queue_waiting_ttl, Duration::from_secs(30 * 24 * 3_600));
    assert_eq!(config.settings().queue.active_limit, 1_000_000);
    assert_eq!(config.http_addr, "127.0.0.1:0".parse().unwrap());
    assert_eq!(config.engines.database_url, DatabaseUrl::Sqlite("/srv/concert.db".into()));
    assert_eq!(config.roles, Roles { api: false, worker: true });
    assert!(config.seed_demo && !config.migrate_on_start);
}

#[test]
fn a_wrong_value_is_refused_in_one_sentence_with_variable_value_and_range() {
    let time = "must be a time with its unit, such as 300ms, 2s, 5m, 24h or 30d, \
                from 100ms to 365d";
    for (flag, variable, value, allowed) in [
        ("--hold-ttl", "HOLD_TTL", "5", time),
        ("--hold-ttl", "HOLD_TTL", "", time),
        ("--queue-tick", "QUEUE_TICK", "99ms", time),
        ("--refund-cutoff", "REFUND_CUTOFF", "366d", time),
        ("--shutdown-grace", "SHUTDOWN_GRACE", "-5s", time),
        (
            "--queue-active-limit",
            "QUEUE_ACTIVE_LIMIT",
            "0",
            "must be a whole number from 1 to 1000000",
        ),
        ("--http-workers", "HTTP_WORKERS", "many", "must be a whole number from 1 to 256"),
        (
            "--http-addr",
            "HTTP_ADDR",
            "8080",
            "must be an IP address and a port, such as 127.0.0.1:8080",
        ),
        ("--roles", "ROLES", "api,cook", "must be api, worker or api,worker"),
        ("--roles", "ROLES", "", "must be api, worker or api,worker"),
        ("--seed-demo", "SEED_DEMO", "maybe", "must be true or false"),
        ("--auth-mode", "AUTH_MODE", "none", "must be jwt or trusted"),
        (
            "--cors-allowed-origins",
            "CORS_ALLOWED_ORIGINS",
            "*",
            "must be origins as browsers write them, such as https://shop.example or \
             http://localhost:3000, with commas between",
        ),
        ("--jwt-algorithm", "JWT_ALGORITHM", "none", "must be HS256, RS256, ES256 or EdDSA"),
        ("--log-format", "LOG_FORMAT", "xml", "must be pretty or json"),
        (
            "--rust-log",
            "RUST_LOG",
            "a=b=c",
            "must be log levels, such as info or warn,concert_app=debug",
        ),
        (
            "--kafka-group",
            "KAFKA_GROUP",
            "a b",
            "must be 1 to 100 letters, digits, dots, dashes or underscores",
        ),
        (
            "--database-url",
            "DATABASE_URL",
            "sqlite::memory:",
            "must be sqlite:PATH, such as sqlite:var/concert.db, or \
             mysql://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        (
            "--database-url",
            "DATABASE_URL",
            "mysql://db:3306",
            "must be mysql://USER:PASSWORD@HOST:PORT/DATABASE, special characters in it \
             percent-encoded",
        ),
        ("--database-pool", "DATABASE_POOL", "65", "must be a whole number from 1 to 64"),
        (
            "--redis-url",
            "REDIS_URL",
            "cache:6379",
            "must be redis://[USER:PASSWORD@]HOST:PORT[/NUMBER]",
        ),
        (
            "--kafka-brokers",
            "KAFKA_BROKERS",
            "a:9092,b",
            "must be HOST:PORT, or several separated by commas",
        ),
    ] {
        let sentence = refusal(&[&format!("{flag}={value}")]);
        assert_eq!(sentence, format!("{variable} is {value:?}, but {allowed}"));
    }
}

#[test]
fn a_password_is_not_repeated() {
    for (flag, secret, shown) in [
        ("--database-url=", "mysql://root:se/cr?et@db:port/concert", "mysql://...@db:port/concert"),
        ("--database-url=", "mysql:root:hunter2@db", "mysql://...@db"),
        (
            "--redis-url=",
            "rediss://:hunter2@cache:6379/0?protocol=resp3",
            "rediss://...@cache:6379/0",
        ),
    ] {
        let sentence = refusal(&[&format!("{flag}{secret}")]);
        assert!(sentence.contains(&format!(" is {shown:?}, but must be ")), "{sentence}");
    }
    let flags = ["--database-url=mysql://a:hunter2@db/c", "--redis-url=redis://:hunter2@cache"];
    let config = parsed(&flags).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[test]
fn engines_are_chosen_by_url() {
    let config = parsed(&[]).unwrap();
    assert!(config.engines.uses_file() && config.engines.redis().is_none());
    let file = config.engines.file().to_owned();

    // Compose files write "unset" as an empty variable.
    let mysql = "--database-url=mysql://concert:secret@db:3306/concert";
    let engines = parsed(&[mysql, "--redis-url=", "--kafka-brokers="]).unwrap().engines;
    assert_eq!((engines.redis(), engines.kafka(), engines.uses_file()), (None, None, true));
    assert_ne!(engines.file(), file, "an event log of another database");

    let full = [mysql, "--redis-url=redis://cache:6379/1", "--kafka-brokers=a:9092, [::1]:9092"];
    let engines = parsed(&full).unwrap().engines;
    assert_eq!(engines.redis().unwrap().expose(), "redis://cache:6379/1");
    assert_eq!(engines.kafka(), Some("a:9092, [::1]:9092"));
    assert!(!engines.uses_file());
    assert!(parsed(&[full[1], full[2]]).unwrap().engines.uses_file());
}

#[test]
fn callers_are_believed_on_loopback_only_unless_told_otherwise() {
    assert_eq!(parsed(&["--http-addr=[::1]:0"]).unwrap().auth(), Ok(Auth::Trusted));
    for flags in [
        &["--http-addr=0.0.0.0:80"][..],
        &["--http-addr=0.0.0.0:80", "--auth-mode=trusted"],
        &["--http-addr=0.0.0.0:80", "--auth-trusted-anywhere"],
    ] {
        let sentence = parsed(flags).unwrap().auth().unwrap_err().to_string();
        assert!(sentence.starts_with("AUTH_MODE is"), "{sentence}");
        assert_eq!(sentence.contains("not set"), !flags.contains(&"--auth-mode=trusted"));
        assert!(sentence.contains("AUTH_TRUSTED_ANYWHERE=true"), "{sentence}");
    }
    let told = ["--http-addr=0.0.0.0:80", "--auth-mode=trusted", "--auth-trusted-anywhere=true"];
    assert_eq!(parsed(&told).unwrap().auth(), Ok(Auth::Trusted));
}

#[test]
fn a_key_of_queue_tokens_is_long_or_absent_and_is_never_shown() {
    let told = |flag: &str| parsed(&[flag]).unwrap().queue_tokens;
    let short = told("--queue-token-key=hunter2-hunter2-hunter2-hunter");
    let sentence = short.seal_key().unwrap_err().to_string();
    assert!(sentence.starts_with("QUEUE_TOKEN_KEY is ") && !sentence.contains("hunter2"));
    assert_eq!(told("--queue-token-key=").seal_key(), Ok(None));
    let long = told("--queue-token-key=an example of a secret for tests");
    assert!(matches!(long.seal_key(), Ok(Some(_))));
    assert!(!format!("{long:?}").contains("example of a secret"));
}

#[test]
fn keys_must_fit_the_algorithm() {
    const SECRET: &str = "--jwt-secret=an example of a secret for tests";
    let told = |flags: &[&str]| {
        let mut all = vec!["--auth-mode=jwt", "--http-addr=0.0.0.0:80"];
        all.extend(flags);
        parsed(&all).unwrap().auth()
    };
    for flags in [
        &[SECRET][..],
        &[SECRET, "--jwt-algorithm=HS256", "--jwt-jwks-file="],
        &["--jwt-algorithm=RS256", "--jwt-public-key-file=key.pem", "--jwt-secret="],
        &["--jwt-algorithm=EdDSA", "--jwt-jwks-file=keys.json", "--jwt-issuer=us"],
    ] {
        assert!(matches!(told(flags), Ok(Auth::Jwt(_))), "{flags:?}");
    }
    for (flags, variable) in [
        (&[][..], "JWT_SECRET"),
        (&["--jwt-secret=hunter2-hunter2-hunter2-hunter"], "JWT_SECRET"),
        (&[SECRET, "--jwt-public-key-file=key.pem"], "JWT_PUBLIC_KEY_FILE"),
        (&["--jwt-algorithm=RS256"], "JWT_PUBLIC_KEY_FILE"),
        (&["--jwt-algorithm=ES256", "--jwt-jwks-file=k", SECRET], "JWT_SECRET"),
        (
            &["--jwt-algorithm=ES256", "--jwt-jwks-file=k", "--jwt-public-key-file=p"],
            "JWT_JWKS_FILE",
        ),
    ] {
        let sentence = told(flags).unwrap_err().to_string();
        assert!(sentence.starts_with(&format!("{variable} is ")), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
    let forgotten = parsed(&[SECRET]).unwrap();
    assert!(forgotten.auth().unwrap_err().to_string().contains("set AUTH_MODE=jwt"));
    assert!(!format!("{forgotten:?}").contains("example of a secret"));
}

#[test]
fn a_gateway_is_a_bridge_with_a_secret_or_a_sandbox_that_nobody_can_reach() {
    const URL: &str = "--gateway-url=https://bridge.example/v1";
    const SECRET: &str = "--gateway-secret=an example of a secret for tests";
    const OPEN: &str = "--http-addr=0.0.0.0:80";
    let told = |flags: &[&str]| parsed(flags).unwrap().gateway();
    for flags in [
        &[][..],
        &["--gateway-url=", "--gateway-secret="],
        &[OPEN, "--gateway-sandbox=true"],
        // What is asked for has no say where nobody else can connect.
        &["--http-addr=[::1]:80", "--auth-mode=jwt"],
    ] {
        assert_eq!(told(flags), Ok(GatewayChoice::Sandbox), "{flags:?}");
    }
    for flags in [&[URL, SECRET][..], &[URL, SECRET, OPEN, "--gateway-timeout=100ms"]] {
        assert!(matches!(told(flags), Ok(GatewayChoice::Bridge { .. })), "{flags:?}");
    }
    for (flags, variable) in [
        (&[OPEN][..], "GATEWAY_URL"),
        (&[OPEN, "--auth-mode=jwt"], "GATEWAY_URL"),
        (&[SECRET], "GATEWAY_URL"),
        (&[URL], "GATEWAY_SECRET"),
        (&[URL, "--gateway-secret=hunter2-hunter2-hunter2-hunter"], "GATEWAY_SECRET"),
        (&[URL, SECRET, "--gateway-timeout=10s"], "GATEWAY_TIMEOUT"),
        (&[URL, SECRET, "--gateway-grace=5s"], "GATEWAY_TIMEOUT"),
    ] {
        let sentence = told(flags).unwrap_err().to_string();
        assert!(sentence.starts_with(&format!("{variable} is ")), "{sentence}");
        assert!(!sentence.contains("hunter2"), "{sentence}");
    }
    for (flag, text) in [
        ("--gateway-timeout=31s", "from 100ms to 30s"),
        ("--gateway-timeout=5", "from 100ms to 30s"),
        ("--gateway-grace=1ms", "from 100ms to 365d"),
        ("--gateway-url=bridge:80", "http://HOST:PORT"),
        ("--gateway-url=https://a:hunter2@bridge", "no password"),
    ] {
        let sentence = refusal(&[flag]);
        assert!(sentence.contains(text) && !sentence.contains("hunter2"), "{sentence}");
    }
    assert!(!format!("{:?}", parsed(&[URL, SECRET]).unwrap()).contains("example of a secret"));
}

#[test]
fn a_broken_env_file_is_one_sentence_and_a_missing_one_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    assert_eq!(load_env_file_at(&path), Ok(()));
    std::fs::write(&path, "# fine\nthis is no assignment\n").unwrap();
    let sentence = load_env_file_at(&path).unwrap_err().to_string();
    assert!(sentence.contains("this is no assignment"), "{sentence}");
    assert!(sentence.contains("NAME=value"), "{sentence}");
}
