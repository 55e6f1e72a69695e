//! The JWT assertion (`X-Agent-Assertion`): the agent's identity for one application, signed ES256 (RFC 7519, RFC 7515).
