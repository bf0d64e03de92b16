package envelope

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// The types of PEM blocks that are written here.
const (
	privateBlock = "PRIVATE KEY"
	publicBlock  = "PUBLIC KEY"
)

// KeySigner signs with a private key.
type KeySigner struct {
	key    crypto.Signer
	public PublicKey
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
	public, err := newPublicKey(signer.Public())
	if err != nil {
		return nil, fmt.Errorf("reading the signing key: %w", err)
	}
	return &KeySigner{key: signer, public: public}, nil
}

// GenerateKey returns a new ed25519 private key in PEM, as NewKeySigner reads it.
func GenerateKey() (privatePEM []byte, err error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// Public is the key that verifies what k signs.
func (k *KeySigner) Public() PublicKey { return k.public }

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
	return Signature{KeyID: k.public.id, Sig: sig}, nil
}

// PublicKey is a key that somebody pinned, or that a signer has.
type PublicKey struct {
	id  string
	der []byte
	key crypto.PublicKey
}

// ParsePublicKey reads a SubjectPublicKeyInfo PEM, ed25519 or ECDSA on P-256.
func ParsePublicKey(publicPEM []byte) (PublicKey, error) {
	block, _ := pem.Decode(publicPEM)
	if block == nil {
		return PublicKey{}, errors.New("reading a public key: no PEM block found")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return PublicKey{}, fmt.Errorf("reading a public key: %w", err)
	}
	public, err := newPublicKey(key)
	if err != nil {
		return PublicKey{}, fmt.Errorf("reading a public key: %w", err)
	}
	return public, nil
}

// newPublicKey takes ed25519 and ECDSA P-256 keys only.
func newPublicKey(key crypto.PublicKey) (PublicKey, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
	case *ecdsa.PublicKey:
		if k.Curve != elliptic.P256() {
			return PublicKey{}, fmt.Errorf("got an ECDSA key on %s, want P-256", k.Curve.Params().Name)
		}
	default:
		return PublicKey{}, fmt.Errorf("got a %T, want ed25519 or ECDSA P-256", key)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{id: Digest(der), der: der, key: key}, nil
}

// ID is the key's fingerprint: "sha256:" and the SHA-256 of its
// SubjectPublicKeyInfo in hex. `openssl pkey -pubin -outform DER | sha256sum`
// says the same.
func (p PublicKey) ID() string { return p.id }

// PEM is the key as ParsePublicKey reads it.
func (p PublicKey) PEM() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: p.der}))
}

// Verifies reports whether sig is a signature over pae by this key.
func (p PublicKey) Verifies(pae, sig []byte) bool {
	switch key := p.key.(type) {
	case ed25519.PublicKey:
		return ed25519.Verify(key, pae, sig)
	case *ecdsa.PublicKey:
		sum := sha256.Sum256(pae)
		return ecdsa.VerifyASN1(key, sum[:], sig)
	}
	return false
}
