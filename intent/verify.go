package intent

import (
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/inhaul/inhaul/envelope"
)

// Trust is what a verifier believes in. The zero value trusts nobody.
type Trust struct {
	Issuers []Issuer
	Keys    []PublicKey
}

// Issuer is an OIDC provider whose tokens are believed.
type Issuer struct {
	URL  string // compared with the token's iss, byte by byte
	Keys jose.JSONWebKeySet
}

// PublicKey is a pinned key of the team's own.
type PublicKey = envelope.PublicKey

// ParsePublicKey reads a SubjectPublicKeyInfo PEM, ed25519 or ECDSA on P-256.
func ParsePublicKey(publicPEM []byte) (PublicKey, error) { return envelope.ParsePublicKey(publicPEM) }

// UnknownKeyError says which key a trusted issuer's set lacks. It is an
// ErrUnknownKey; a verifier may refresh its keys once and try again.
type UnknownKeyError struct {
	Issuer string // empty for a pinned key
	KeyID  string
}

func (e *UnknownKeyError) Error() string {
	if e.Issuer == "" {
		return fmt.Sprintf("%v: no trusted key has the ID %q", ErrUnknownKey, e.KeyID)
	}
	return fmt.Sprintf("%v: %s has no key %q", ErrUnknownKey, e.Issuer, e.KeyID)
}

// Unwrap makes errors.Is(err, ErrUnknownKey) true.
func (e *UnknownKeyError) Unwrap() error { return ErrUnknownKey }

// Evidence is how an intent was verified. It is kept with the release, so that
// nobody has to ask for old keys later.
type Evidence struct {
	Scheme   string            // "github-oidc" or "key"
	KeyID    string            // of the token's key, or of the pinned key
	Issuer   string            // of the token
	TokenID  string            // jti
	IssuedAt time.Time         // of the token
	Claims   map[string]string // the token's claims that policy looks at
}

// Verified is an intent whose signature, claims and times hold. Only Verify
// makes one; the zero value is no intent.
type Verified struct {
	statement Statement
	digest    string
	evidence  Evidence
}

// Statement is what is asked for.
func (v Verified) Statement() Statement { return v.statement }

// Digest names the intent.
func (v Verified) Digest() string { return v.digest }

// Evidence is how it was verified.
func (v Verified) Evidence() Evidence { return v.evidence }

// Verify decodes an envelope and checks its signature against trust, its
// token's claims against its statement, and its times against now. Whether the
// asker may have what it asks for is policy's business. Errors: those of
// Decode, ErrUnknownKey (an *UnknownKeyError), ErrSignature, ErrIssuer,
// ErrAudience, ErrClaims, ErrStale, ErrExpired, ErrNotYetValid.
func Verify(data []byte, trust Trust, now time.Time) (Verified, error) {
	e, err := Decode(data)
	if err != nil {
		return Verified{}, err
	}
	var evidence Evidence
	if e.sealed.Signature.KeyID == GitHubKeyID {
		evidence, err = verifyToken(e, trust)
	} else {
		evidence, err = verifyKey(e, trust)
	}
	if err != nil {
		return Verified{}, err
	}
	p := e.statement.Predicate
	if now.After(p.ExpiresAt) {
		return Verified{}, fmt.Errorf("%w at %s", ErrExpired, p.ExpiresAt.Format(time.RFC3339))
	}
	if p.IssuedAt.After(now.Add(MaxClockSkew)) {
		return Verified{}, fmt.Errorf("%w: issued at %s, it is %s", ErrNotYetValid,
			p.IssuedAt.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return Verified{statement: e.statement, digest: e.Digest(), evidence: evidence}, nil
}

func verifyKey(e Envelope, trust Trust) (Evidence, error) {
	signature := e.sealed.Signature
	for _, trusted := range trust.Keys {
		if trusted.ID() != signature.KeyID {
			continue
		}
		if !trusted.Verifies(e.sealed.PAE(), signature.Sig) {
			return Evidence{}, fmt.Errorf("%w by key %s", ErrSignature, trusted.ID())
		}
		return Evidence{Scheme: "key", KeyID: trusted.ID()}, nil
	}
	return Evidence{}, &UnknownKeyError{KeyID: signature.KeyID}
}
