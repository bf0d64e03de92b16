package intent

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/gowebpki/jcs"
	"github.com/secure-systems-lab/go-securesystemslib/dsse"
)

// Signature is one signature over the pre-authentication encoding of a
// statement.
type Signature struct {
	KeyID string // "github-oidc", or "sha256:…" of the public key's SPKI
	Sig   []byte // the token itself for github-oidc
}

// Envelope is a decoded but unverified intent: nothing in it may be believed.
type Envelope struct {
	statement Statement
	payload   []byte
	signature Signature
}

// Digest names what the envelope says, "sha256:" and 64 hex digits. It covers
// the statement and not the signature.
func (e Envelope) Digest() string { return digestOf(e.pae()) }

// Claimed is the statement as it stands, unverified: good for log lines only.
func (e Envelope) Claimed() Statement { return e.statement }

func (e Envelope) pae() []byte { return dsse.PAE(PayloadType, e.payload) }

// Decode reads an envelope. Only the canonical form is accepted, so that
// Encode(Decode(x)) is x and no two byte strings are the same intent. Errors:
// ErrTooLarge, ErrMalformed, ErrUnknownField, ErrUnsigned.
func Decode(data []byte) (Envelope, error) {
	if len(data) > MaxEnvelopeBytes {
		return Envelope{}, fmt.Errorf("%w: got more than %d bytes", ErrTooLarge, MaxEnvelopeBytes)
	}
	var wire dsse.Envelope
	if err := decodeStrict(data, &wire); err != nil {
		return Envelope{}, fmt.Errorf("decoding the envelope: %w", err)
	}
	if len(wire.Signatures) != 1 || wire.Signatures[0].Sig == "" {
		return Envelope{}, fmt.Errorf("%w: got %d signatures, want 1", ErrUnsigned, len(wire.Signatures))
	}
	if wire.PayloadType != PayloadType {
		return Envelope{}, fmt.Errorf("%w: got payload type %q, want %q", ErrMalformed, wire.PayloadType, PayloadType)
	}
	var e Envelope
	var err error
	if e.payload, err = base64.StdEncoding.Strict().DecodeString(wire.Payload); err != nil {
		return Envelope{}, fmt.Errorf("%w: payload: %w", ErrMalformed, err)
	}
	if e.signature.Sig, err = base64.StdEncoding.Strict().DecodeString(wire.Signatures[0].Sig); err != nil {
		return Envelope{}, fmt.Errorf("%w: signature: %w", ErrMalformed, err)
	}
	e.signature.KeyID = wire.Signatures[0].KeyID
	if err := decodeStrict(e.payload, &e.statement); err != nil {
		return Envelope{}, fmt.Errorf("decoding the statement: %w", err)
	}
	if err := e.statement.validate(); err != nil {
		return Envelope{}, err
	}
	again, err := e.Encode()
	if err != nil {
		return Envelope{}, err
	}
	if !bytes.Equal(again, data) {
		return Envelope{}, fmt.Errorf("%w: not in canonical form", ErrMalformed)
	}
	return e, nil
}

// Encode writes the envelope in its canonical form (RFC 8785).
func (e Envelope) Encode() ([]byte, error) {
	payload, err := canonical(e.statement)
	if err != nil {
		return nil, err
	}
	return canonical(dsse.Envelope{
		PayloadType: PayloadType,
		Payload:     base64.StdEncoding.EncodeToString(payload),
		Signatures: []dsse.Signature{{
			KeyID: e.signature.KeyID,
			Sig:   base64.StdEncoding.EncodeToString(e.signature.Sig),
		}},
	})
}

func canonical(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	data, err = jcs.Transform(data)
	if err != nil {
		return nil, fmt.Errorf("%w: canonical JSON: %w", ErrMalformed, err)
	}
	return data, nil
}

func decodeStrict(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		// encoding/json has no type for this one error.
		if field, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
			return fmt.Errorf("%w: %s", ErrUnknownField, field)
		}
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if decoder.More() {
		return fmt.Errorf("%w: %w", ErrMalformed, errors.New("data after the JSON value"))
	}
	return nil
}
