package intent

import "errors"

// Why an intent is refused. Every error of Decode and Verify wraps exactly one
// of these.
var (
	ErrTooLarge     = errors.New("intent too large")
	ErrMalformed    = errors.New("malformed intent")               // not the canonical form, or a field out of bounds
	ErrUnknownField = errors.New("unknown field in intent")        // written by a newer or a foreign signer
	ErrUnsigned     = errors.New("intent is not signed")           // no signature, or more than one
	ErrSignature    = errors.New("bad signature")                  // the key is trusted, the signature is not its
	ErrUnknownKey   = errors.New("unknown signing key")            // see UnknownKeyError for its ID
	ErrIssuer       = errors.New("wrong token issuer")             // a token of another OIDC provider
	ErrAudience     = errors.New("wrong token audience")           // a token for another intent or another service
	ErrClaims       = errors.New("token claims mismatch")          // the token says otherwise than the statement
	ErrStale        = errors.New("token and intent too far apart") // iat is not near IssuedAt
	ErrExpired      = errors.New("intent expired")
	ErrNotYetValid  = errors.New("intent is from the future")
)
