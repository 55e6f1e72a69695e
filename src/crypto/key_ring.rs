//! The keys of a group of gateways, in `keys_dir`: sealing keys (the newest seals, all open) and signing keys.
