use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::client::budget_of;

/// How many connections each address has; at most as many entries as the server has connections.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// One of them, counted while it lasts.
pub(super) struct Connection {
    address: IpAddr,
    place: u32,
    all: Connections,
}

impl Connections {
    pub(super) fn opened(&self, peer: IpAddr) -> Connection {
        let address = budget_of(peer);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        *count += 1;
        Connection { address, place: *count, all: self.clone() }
    }
}

impl Connection {
    /// How many its address had when it was opened, with it.
    pub(super) fn place(&self) -> u32 {
        self.place
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_counts_while_it_lasts() {
        let all = Connections::default();
        let [ours, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let first = all.opened(ours);
        assert_eq!((all.opened(ours).place(), all.opened(other).place()), (2, 1));
        assert_eq!(all.opened(ours).place(), 2);
        drop(first);
        assert!(all.0.lock().unwrap().is_empty());
    }
}
