package intent

import (
	"github.com/inhaul/inhaul/envelope"
)

// Signature is one signature over the pre-authentication encoding of a
// statement.
type Signature = envelope.Signature

// Envelope is a decoded but unverified intent: nothing in it may be believed.
type Envelope struct {
	statement Statement
	sealed    envelope.Envelope
}

// Digest names what the envelope says, "sha256:" and 64 hex digits. It covers
// the statement and not the signature.
func (e Envelope) Digest() string { return e.sealed.Digest() }

// Claimed is the statement as it stands, unverified: good for log lines only.
func (e Envelope) Claimed() Statement { return e.statement }

// Decode reads an envelope. Only the canonical form is accepted, so that
// Encode(Decode(x)) is x and no two byte strings are the same intent. Errors:
// ErrTooLarge, ErrMalformed, ErrUnknownField, ErrUnsigned.
func Decode(data []byte) (Envelope, error) {
	var e Envelope
	var err error
	if e.sealed, err = envelope.Open(data, MaxEnvelopeBytes, &e.statement); err != nil {
		return Envelope{}, inOurWords(err)
	}
	if err := e.statement.validate(); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

// Encode writes the envelope in its canonical form (RFC 8785).
func (e Envelope) Encode() ([]byte, error) { return e.sealed.Encode() }

// inOurWords is an error of the envelope as one of an intent.
func inOurWords(err error) error {
	return envelope.InWords(err, envelope.Words{
		TooLarge: ErrTooLarge, Malformed: ErrMalformed, UnknownField: ErrUnknownField, Unsigned: ErrUnsigned,
	})
}
