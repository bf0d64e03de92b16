package intent

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// Signer signs the pre-authentication encoding of a statement.
type Signer interface {
	Sign(ctx context.Context, pae []byte) (Signature, error)
}

// Sign returns the canonical envelope of s and its digest. Times of s have to
// be UTC in whole milliseconds. A statement that Decode would refuse is an
// error here: nothing is published that cannot be deployed.
func Sign(ctx context.Context, s Statement, signer Signer) (envelope []byte, digest string, err error) {
	payload, err := canonical(s)
	if err != nil {
		return nil, "", err
	}
	e := Envelope{statement: s, payload: payload}
	if e.signature, err = signer.Sign(ctx, e.pae()); err != nil {
		return nil, "", fmt.Errorf("signing the intent: %w", err)
	}
	if envelope, err = e.Encode(); err != nil {
		return nil, "", err
	}
	if _, err := Decode(envelope); err != nil {
		return nil, "", fmt.Errorf("checking the signed intent: %w", err)
	}
	return envelope, e.Digest(), nil
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
	token, err := g.Token(ctx, Audience(digestOf(pae)))
	if err != nil {
		return Signature{}, err
	}
	return Signature{KeyID: GitHubKeyID, Sig: []byte(token)}, nil
}

// KeySigner signs with a private key of the team's own.
type KeySigner struct {
	key   crypto.Signer
	keyID string
}

// NewKeySigner reads a PKCS #8 (or SEC 1) PEM private key, ed25519 or ECDSA on
// P-256.
func NewKeySigner(privatePEM []byte) (*KeySigner, error) {
	block, _ := pem.Decode(privatePEM)
	if block == nil {
		return nil, errors.New("reading the signing key: no PEM block found")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		ec, ecErr := x509.ParseECPrivateKey(block.Bytes)
		if ecErr != nil {
			return nil, errors.New("reading the signing key: neither a PKCS #8 nor an EC private key")
		}
		key = ec
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("reading the signing key: %T cannot sign", key)
	}
	keyID, err := publicKeyID(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	return &KeySigner{key: signer, keyID: keyID}, nil
}

// Sign signs pae itself (ed25519) or its SHA-256 (ECDSA, ASN.1 DER).
func (k *KeySigner) Sign(_ context.Context, pae []byte) (Signature, error) {
	message, hash := pae, crypto.Hash(0)
	if _, ok := k.key.Public().(*ecdsa.PublicKey); ok {
		sum := sha256.Sum256(pae)
		message, hash = sum[:], crypto.SHA256
	}
	sig, err := k.key.Sign(rand.Reader, message, hash)
	if err != nil {
		return Signature{}, err
	}
	return Signature{KeyID: k.keyID, Sig: sig}, nil
}

// publicKeyID is the SHA-256 of the key's SubjectPublicKeyInfo. Only ed25519
// and ECDSA P-256 keys have one.
func publicKeyID(key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return "", fmt.Errorf("got an ECDSA key on %s, want P-256", k.Curve.Params().Name)
		}
	default:
		return "", fmt.Errorf("got a %T, want ed25519 or ECDSA P-256", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(der)
	return "sha256:" + hex.EncodeToString(sum[:]), nil
}
