//! ncp-relay.
