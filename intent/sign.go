package intent

import (
	"context"
	"fmt"

	"github.com/inhaul/inhaul/envelope"
)

// Signer signs the pre-authentication encoding of a statement.
type Signer = envelope.Signer

// Sign returns the canonical envelope of s and its digest. Times of s have to
// be UTC in whole milliseconds. A statement that Decode would refuse is an
// error here: nothing is published that cannot be deployed.
func Sign(ctx context.Context, s Statement, signer Signer) (signed []byte, digest string, err error) {
	sealed, err := envelope.Seal(ctx, s, signer)
	if err != nil {
		return nil, "", fmt.Errorf("signing the intent: %w", inOurWords(err))
	}
	if signed, err = sealed.Encode(); err != nil {
		return nil, "", inOurWords(err)
	}
	if _, err := Decode(signed); err != nil {
		return nil, "", fmt.Errorf("checking the signed intent: %w", err)
	}
	return signed, sealed.Digest(), nil
}

// GitHubKeyID is the key ID of an intent that is signed by a GitHub token.
const GitHubKeyID = "github-oidc"

// GitHubSigner signs by asking GitHub for an ID token whose audience is the
// digest of what is signed.
type GitHubSigner struct {
	// Token returns an ID token for the audience, from
	// ACTIONS_ID_TOKEN_REQUEST_URL.
	Token func(ctx context.Context, audience string) (string, error)
}

// NewGitHubSigner is a signer over the given source of tokens.
func NewGitHubSigner(token func(ctx context.Context, audience string) (string, error)) *GitHubSigner {
	return &GitHubSigner{Token: token}
}

// Sign returns the token as the signature.
func (g *GitHubSigner) Sign(ctx context.Context, pae []byte) (Signature, error) {
	token, err := g.Token(ctx, Audience(envelope.Digest(pae)))
	if err != nil {
		return Signature{}, err
	}
	return Signature{KeyID: GitHubKeyID, Sig: []byte(token)}, nil
}

// KeySigner signs with a private key of the team's own.
type KeySigner = envelope.KeySigner

// NewKeySigner reads a PKCS #8 (or SEC 1) PEM private key, ed25519 or ECDSA on
// P-256.
func NewKeySigner(privatePEM []byte) (*KeySigner, error) { return envelope.NewKeySigner(privatePEM) }
