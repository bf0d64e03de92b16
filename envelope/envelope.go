// Package envelope is a signed statement: canonical JSON (RFC 8785) in a DSSE
// envelope with one signature, and the keys that sign it. Intents and receipts
// are made of it.
//
// Start with Seal and Open. Promises: two byte strings are never the same
// envelope, and what a signature covers is all that Open returns.
package envelope

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/gowebpki/jcs"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// The types that every statement has.
//
// https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
const (
	StatementType = "https://in-toto.io/Statement/v1"
	PayloadType   = "application/vnd.in-toto+json"
)

// Subject is an artifact named by digest.
type Subject struct {
	Name   string    `json:"name"`
	Digest DigestSet `json:"digest"`
}

// DigestSet is that of in-toto, restricted to what statements here need; exactly one
// of the two is set, in lower-case hex.
//
// https://github.com/in-toto/attestation/blob/main/spec/v1/digest_set.md
type DigestSet struct {
	SHA256    string `json:"sha256,omitempty"`
	GitCommit string `json:"gitCommit,omitempty"`
}

// Signature is one signature over the pre-authentication encoding of a
// statement.
type Signature struct {
	KeyID string // "github-oidc", or "sha256:…" of the public key's SPKI
	Sig   []byte // the token itself for github-oidc
}

// Signer signs the pre-authentication encoding of a statement.
type Signer interface {
	Sign(ctx context.Context, pae []byte) (Signature, error)
}

// Envelope is a statement as canonical JSON with a signature that nobody has
// checked yet.
type Envelope struct {
	Payload   []byte
	Signature Signature
}

// Fault is a way not to be an envelope.
type Fault int

// The ways not to be an envelope.
const (
	TooLarge     Fault = iota + 1
	Malformed          // not the canonical form of an envelope
	UnknownField       // written by a newer or a foreign signer
	Unsigned           // no signature, or more than one
)

// FormError says why bytes are no envelope of the statement that was wanted.
type FormError struct {
	Fault Fault
	Cause error
}

func (e *FormError) Error() string { return e.Cause.Error() }

// Unwrap returns the cause.
func (e *FormError) Unwrap() error { return e.Cause }

// Words are what a room calls the faults.
type Words struct{ TooLarge, Malformed, UnknownField, Unsigned error }

// InWords returns a *FormError as the word for its fault, and other errors as
// they are.
func InWords(err error, words Words) error {
	form, ok := errors.AsType[*FormError](err)
	if !ok {
		return err
	}
	word := map[Fault]error{TooLarge: words.TooLarge, Malformed: words.Malformed, UnknownField: words.UnknownField, Unsigned: words.Unsigned}
	return fmt.Errorf("%w: %w", word[form.Fault], form.Cause)
}

func fault(f Fault, format string, arguments ...any) error {
	return &FormError{f, fmt.Errorf(format, arguments...)}
}

// Seal signs the canonical form of statement.
func Seal(ctx context.Context, statement any, signer Signer) (Envelope, error) {
	payload, err := canonical(statement)
	if err != nil {
		return Envelope{}, err
	}
	e := Envelope{Payload: payload}
	if e.Signature, err = signer.Sign(ctx, e.PAE()); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

// Open reads an envelope of at most that many bytes, and its statement into the
// pointer. Only the canonical form is accepted, so that Open and then Encode
// change no byte. Every error is a *FormError.
func Open(data []byte, most int, statement any) (Envelope, error) {
	if len(data) > most {
		return Envelope{}, fault(TooLarge, "got more than %d bytes", most)
	}
	var wire dsse.Envelope
	if err := decodeStrict(data, &wire); err != nil {
		return Envelope{}, err
	}
	if len(wire.Signatures) != 1 || wire.Signatures[0].Sig == "" {
		return Envelope{}, fault(Unsigned, "got %d signatures, want 1", len(wire.Signatures))
	}
	if wire.PayloadType != PayloadType {
		return Envelope{}, fault(Malformed, "got payload type %q, want %q", wire.PayloadType, PayloadType)
	}
	var e Envelope
	var err error
	if e.Payload, err = base64.StdEncoding.Strict().DecodeString(wire.Payload); err != nil {
		return Envelope{}, fault(Malformed, "payload: %w", err)
	}
	if e.Signature.Sig, err = base64.StdEncoding.Strict().DecodeString(wire.Signatures[0].Sig); err != nil {
		return Envelope{}, fault(Malformed, "signature: %w", err)
	}
	e.Signature.KeyID = wire.Signatures[0].KeyID
	if err := decodeStrict(e.Payload, statement); err != nil {
		return Envelope{}, err
	}
	payload, err := canonical(statement)
	if err != nil {
		return Envelope{}, err
	}
	again, err := e.Encode()
	if err != nil {
		return Envelope{}, err
	}
	if !bytes.Equal(payload, e.Payload) || !bytes.Equal(again, data) {
		return Envelope{}, fault(Malformed, "not in canonical form")
	}
	return e, nil
}

// Encode returns the canonical form of e.
func (e Envelope) Encode() ([]byte, error) {
	return canonical(dsse.Envelope{
		PayloadType: PayloadType,
		Payload:     base64.StdEncoding.EncodeToString(e.Payload),
		Signatures: []dsse.Signature{{
			KeyID: e.Signature.KeyID,
			Sig:   base64.StdEncoding.EncodeToString(e.Signature.Sig),
		}},
	})
}

// PAE is what the signature covers, the pre-authentication encoding.
func (e Envelope) PAE() []byte { return dsse.PAE(PayloadType, e.Payload) }

// Digest names what the envelope says, "sha256:" and 64 hex digits. It covers
// the statement and not the signature.
func (e Envelope) Digest() string { return Digest(e.PAE()) }

// Digest is the SHA-256 of data, "sha256:" and 64 hex digits.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func canonical(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fault(Malformed, "%w", err)
	}
	data, err = jcs.Transform(data)
	if err != nil {
		return nil, fault(Malformed, "canonical JSON: %w", err)
	}
	return data, nil
}

func decodeStrict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		// encoding/json has no type for this one error.
		if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			return fault(UnknownField, "%s", field)
		}
		return fault(Malformed, "%w", err)
	}
	if decoder.More() {
		return &FormError{Malformed, errors.New("data after the JSON value")}
	}
	return nil
}
