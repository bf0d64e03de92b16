package intent

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"
)

func TestAnyFlippedBitIsRefused(t *testing.T) {
	t.Parallel()
	gh := newGitHub(t, "key-1")
	private, public := newEd25519(t)
	key, err := ParsePublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	trust := Trust{Issuers: []Issuer{gh.issuer()}, Keys: []PublicKey{key}}
	for name, envelope := range map[string][]byte{
		"github token": sign(t, push(), gh.signer(t, claims(push().Predicate.Source), nil)),
		"ed25519 key":  sign(t, push(), keySigner(t, private)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Verify(envelope, trust, noon()); err != nil {
				t.Fatalf("the envelope itself: %v", err)
			}
			for i := range envelope {
				for bit := range 8 {
					flipped := bytes.Clone(envelope)
					flipped[i] ^= 1 << bit
					if _, err := Verify(flipped, trust, noon()); err == nil {
						t.Fatalf("bit %d of byte %d flipped (%q): accepted", bit, i, envelope[max(0, i-10):min(len(envelope), i+10)])
					}
				}
			}
		})
	}
}

func TestDigestCoversTheStatementAlone(t *testing.T) {
	t.Parallel()
	one, _ := newEd25519(t)
	two, _ := newP256(t)
	first, firstDigest, err := Sign(t.Context(), push(), keySigner(t, one))
	if err != nil {
		t.Fatal(err)
	}
	second, secondDigest, err := Sign(t.Context(), push(), keySigner(t, two))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, second) || firstDigest != secondDigest {
		t.Errorf("got digests %s and %s, want the same under two signatures", firstDigest, secondDigest)
	}
}

func TestSignRefusesWhatNobodyWouldDeploy(t *testing.T) {
	t.Parallel()
	private, _ := newEd25519(t)
	for name, change := range map[string]func(*Statement){
		"no image":              func(s *Statement) { s.Subject = s.Subject[1:] },
		"another commit":        func(s *Statement) { s.Subject[1].Digest.GitCommit = strings.Repeat("0", 40) },
		"no services":           func(s *Statement) { s.Predicate.Spec.Services = nil },
		"another app":           func(s *Statement) { s.Predicate.Spec.Name = "backoffice" },
		"short commit":          func(s *Statement) { s.Predicate.Source.Commit = "9f2c1ab" },
		"no repository id":      func(s *Statement) { s.Predicate.Source.RepositoryID = 0 },
		"microseconds":          func(s *Statement) { s.Predicate.IssuedAt = noon().Add(time.Microsecond) },
		"expires before issued": func(s *Statement) { s.Predicate.ExpiresAt = noon().Add(-time.Second) },
		"rollback to nothing":   func(s *Statement) { s.Predicate.Kind = Rollback },
	} {
		s := push()
		change(&s)
		if _, _, err := Sign(t.Context(), s, keySigner(t, private)); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestKeysOfTheWrongKindAreRefused(t *testing.T) {
	t.Parallel()
	gh := newGitHub(t, "key-1")
	rsaPrivate, rsaPublic := pems(t, gh.key, gh.key.Public())
	if _, err := NewKeySigner(rsaPrivate); err == nil {
		t.Error("an RSA private key was accepted")
	}
	if _, err := ParsePublicKey(rsaPublic); err == nil {
		t.Error("an RSA public key was accepted")
	}
	if _, err := NewKeySigner([]byte("hunter2")); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error that does not show the key", err)
	}
}

func FuzzDecode(f *testing.F) {
	// A key of its own in every worker would make strangers of them.
	fixed := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	private, public := pems(f, fixed, fixed.Public())
	key, err := ParsePublicKey(public)
	if err != nil {
		f.Fatal(err)
	}
	good, _, err := Sign(context.Background(), push(), keySigner(f, private))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"","sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Decode(data)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("decode and encode changed the bytes (%v):\n%s\n%s", err, data, again)
		}
		if _, err := Verify(data, Trust{Keys: []PublicKey{key}}, noon()); err == nil && !bytes.Equal(data, good) {
			t.Fatalf("verified what was never signed: %s", data)
		}
	})
}
