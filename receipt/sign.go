package receipt

import (
	"context"
	"fmt"
	"strings"

	"github.com/inhaul/inhaul/envelope"
)

// Sign returns the envelope of what p says about the intent with that digest
// ("sha256:…"). It sets p.Key. The same words under the same ed25519 key are the
// same bytes. What Verify would refuse is an error here.
func Sign(ctx context.Context, intent string, p Predicate, signer *envelope.KeySigner) ([]byte, error) {
	p.Key = signer.Public().PEM()
	s := Statement{
		Type: envelope.StatementType, PredicateType: PredicateType, Predicate: p,
		Subject: []Subject{{Name: intentName, Digest: Digest{SHA256: strings.TrimPrefix(intent, "sha256:")}}},
	}
	if p.Check.Commit != "" {
		s.Subject = append(s.Subject, commitSubject(p.Check))
	}
	sealed, err := envelope.Seal(ctx, s, signer)
	if err != nil {
		return nil, fmt.Errorf("signing the receipt: %w", inOurWords(err))
	}
	signed, err := sealed.Encode()
	if err != nil {
		return nil, fmt.Errorf("signing the receipt: %w", inOurWords(err))
	}
	if _, err := Verify(signed, []envelope.PublicKey{signer.Public()}); err != nil {
		return nil, fmt.Errorf("checking the signed receipt: %w", err)
	}
	return signed, nil
}

// intentName is the name of the subject that is an intent.
const intentName = "intent"

func commitSubject(c Check) Subject {
	name := "commit"
	if c.Repository != "" {
		name = "git+https://github.com/" + c.Repository
	}
	return Subject{Name: name, Digest: Digest{GitCommit: c.Commit}}
}

// UnknownKeyError says which key signed a receipt instead of a known one. It is
// an ErrUnknownKey.
type UnknownKeyError struct{ KeyID string }

func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("%v: it is signed by the key %.80q", ErrUnknownKey, e.KeyID)
}

// Unwrap makes errors.Is(err, ErrUnknownKey) true.
func (e *UnknownKeyError) Unwrap() error { return ErrUnknownKey }

// Verify reads a receipt that one of keys has signed. Which intent, app and
// environment it has to be about is for the caller to compare. Errors:
// ErrTooLarge, ErrMalformed, ErrUnknownField, ErrType, ErrUnsigned, ErrSignature,
// ErrUnknownKey (an *UnknownKeyError).
func Verify(data []byte, keys []envelope.PublicKey) (Receipt, error) {
	sealed, s, err := open(data)
	if err != nil {
		return Receipt{}, err
	}
	for _, key := range keys {
		if key.ID() == sealed.Signature.KeyID {
			return s.signed(sealed, key)
		}
	}
	return Receipt{}, &UnknownKeyError{sealed.Signature.KeyID}
}

// VerifyAsFound reads a receipt that is signed by the key that it names itself:
// nobody has changed it since, and whoever may write to the registry can have
// made it. Errors: those of Verify.
func VerifyAsFound(data []byte) (Receipt, error) {
	sealed, s, err := open(data)
	if err != nil {
		return Receipt{}, err
	}
	key, err := envelope.ParsePublicKey([]byte(s.Predicate.Key))
	if err != nil {
		return Receipt{}, fmt.Errorf("%w: key: %w", ErrMalformed, err)
	}
	return s.signed(sealed, key)
}

// signed is s as a receipt, if key has signed it and it says so.
func (s Statement) signed(sealed envelope.Envelope, key envelope.PublicKey) (Receipt, error) {
	switch {
	case sealed.Signature.KeyID != key.ID(), s.Predicate.Key != key.PEM():
		return Receipt{}, fmt.Errorf("%w: the signature and the statement name different keys", ErrMalformed)
	case !key.Verifies(sealed.PAE(), sealed.Signature.Sig):
		return Receipt{}, fmt.Errorf("%w by key %s", ErrSignature, key.ID())
	}
	return Receipt{statement: s, digest: sealed.Digest(), key: key}, nil
}

func open(data []byte) (envelope.Envelope, Statement, error) {
	var s Statement
	sealed, err := envelope.Open(data, MaxEnvelopeBytes, &s)
	if err != nil {
		return sealed, s, inOurWords(err)
	}
	return sealed, s, s.validate()
}

// inOurWords is an error of the envelope as one of a receipt.
func inOurWords(err error) error {
	return envelope.InWords(err, envelope.Words{
		TooLarge: ErrTooLarge, Malformed: ErrMalformed, UnknownField: ErrUnknownField, Unsigned: ErrUnsigned,
	})
}
