use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use actix_web::http::header::{FORWARDED, HeaderMap};

use crate::config::Proxies;

const X_FORWARDED_FOR: &str = "X-Forwarded-For";

/// Whose budget a request uses: the peer's, or, if that is a trusted proxy, the nearest address
/// behind it that is none. What a client wrote itself stands further left and is never reached.
///
/// Public because hard input is tried on it from outside.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &Proxies) -> IpAddr {
    let mut nearest = peer;
    let hops: Vec<Option<IpAddr>> = match headers.contains_key(X_FORWARDED_FOR) {
        true => entries(headers, X_FORWARDED_FOR).map(address).collect(),
        false => entries(headers, FORWARDED.as_str()).map(forwarded_for).collect(),
    };
    for hop in hops.into_iter().rev() {
        if !trusted.trusts(nearest) {
            break;
        }
        // What nobody can read is the word of nobody.
        let Some(hop) = hop else { break };
        nearest = hop;
    }
    budget_of(nearest)
}

/// One subscriber has a whole /64 of IPv6.
pub(super) fn budget_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

fn entries<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).flat_map(|value| value.to_str().unwrap_or_default().split(','))
}

fn forwarded_for(element: &str) -> Option<IpAddr> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case("for").then(|| address(value.trim_matches('"')))?
    })
}

/// An address with or without a port, the IPv6 one in brackets if it has a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::config::Config;

    fn seen(peer: &str, header: (&str, &str)) -> String {
        use clap::{Args, FromArgMatches};
        let command = Config::augment_args(clap::Command::new("concert"))
            .mut_args(|argument| argument.env(None::<&str>));
        let flags = ["concert", "--trusted-proxies=10.0.0.0/8, ::1"];
        let matches = command.try_get_matches_from(flags).unwrap();
        let trusted = Config::from_arg_matches(&matches).unwrap().limits.trusted_proxies;
        let request = TestRequest::get().insert_header(header).to_http_request();
        client(peer.parse().unwrap(), request.headers(), &trusted).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_says_for_whom_it_asks() {
        let forwarded = "X-Forwarded-For";
        for (peer, header, client) in [
            ("192.0.2.1", (forwarded, "203.0.113.5"), "192.0.2.1"),
            ("10.0.0.1", (forwarded, "203.0.113.5"), "203.0.113.5"),
            ("10.0.0.1", (forwarded, "198.51.100.9, 203.0.113.5, 10.2.3.4"), "203.0.113.5"),
            ("10.0.0.1", (forwarded, "203.0.113.5, nonsense"), "10.0.0.1"),
            ("10.0.0.1", (forwarded, "10.9.9.9"), "10.9.9.9"),
            ("::1", (forwarded, "203.0.113.5:4711"), "203.0.113.5"),
            ("::ffff:10.0.0.1", (forwarded, "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::"),
            ("10.0.0.1", ("Forwarded", "for=\"[2001:db8::1]:80\";proto=https"), "2001:db8::"),
            ("10.0.0.1", ("Forwarded", "for=1.2.3.4, proto=http;For=203.0.113.5"), "203.0.113.5"),
            ("2001:db8:1:2:3::4", ("Accept", "*/*"), "2001:db8:1:2::"),
        ] {
            assert_eq!(seen(peer, header), client, "{peer} {header:?}");
        }
    }
}
