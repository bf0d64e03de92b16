package receipt

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/inhaul/inhaul/envelope"
)

func digest() string { return "sha256:" + strings.Repeat("ab", 32) }

func noon() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func rollingOut() Predicate {
	return Predicate{
		Number: 1, App: "storefront", Environment: "production", Release: 12, IssuedAt: noon(),
		Check: Check{
			Repository: "acme/storefront", Commit: strings.Repeat("9f2c1ab0", 5), Name: "inhaul / production", ExternalID: digest(),
			Status: "in_progress", Title: "Release 12 is rolling out", StartedAt: noon(),
		},
		Marker: &Marker{Release: 12, Back: 11},
	}
}

func live() Predicate {
	p := rollingOut()
	p.Number, p.Final, p.IssuedAt = 2, true, noon().Add(14*time.Second)
	p.Check.Status, p.Check.Conclusion, p.Check.CompletedAt = "completed", "success", p.IssuedAt
	p.Check.Title, p.Check.Summary, p.Check.Text = "Live in 14 s · 1 service", "grüße <&> \u2028 | web | 2/2 |", "```\nready\n```\n"
	p.Check.Annotations = []Annotation{{Path: "inhaul.yaml", Line: 7, Level: "warning", Title: "memory", Message: "close to its limit"}}
	p.Marker.URL = "https://storefront.example"
	return p
}

func preview() Predicate {
	p := live()
	p.Environment, p.Reported, p.Check.Name = "pr-7", true, "inhaul / pr-7"
	p.Comment = &Comment{Repository: "acme/storefront", PullRequest: 7, Marker: "<!-- inhaul storefront -->", Body: "<!-- inhaul storefront -->\n| pr-7 | live |"}
	return p
}

func refused() Predicate {
	p := live()
	p.Number, p.Release, p.Marker = 1, 0, nil
	p.Check.Repository, p.Check.Commit, p.Check.Conclusion, p.Check.Annotations = "", "", "action_required", nil
	return p
}

func newSigner(tb testing.TB) *envelope.KeySigner {
	tb.Helper()
	private, err := envelope.GenerateKey()
	if err != nil {
		tb.Fatal(err)
	}
	signer, err := envelope.NewKeySigner(private)
	if err != nil {
		tb.Fatal(err)
	}
	return signer
}

func sign(tb testing.TB, p Predicate, signer *envelope.KeySigner) []byte {
	tb.Helper()
	data, err := Sign(context.Background(), digest(), p, signer)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func TestWhatIsSignedIsWhatIsRead(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	for _, p := range []Predicate{rollingOut(), live(), preview(), refused()} {
		data := sign(t, p, signer)
		r, err := Verify(data, []envelope.PublicKey{newSigner(t).Public(), signer.Public()})
		if err != nil {
			t.Fatal(err)
		}
		p.Key = signer.Public().PEM()
		if diff := cmp.Diff(p, r.Predicate()); diff != "" {
			t.Errorf("got +, want -\n%s", diff)
		}
		if r.Intent() != digest() || r.Key().ID() != signer.Public().ID() || r.Commit() != p.Check.Commit {
			t.Errorf("got intent %s, key %s, commit %s", r.Intent(), r.Key().ID(), r.Commit())
		}
		if again := sign(t, p, signer); !bytes.Equal(again, data) {
			t.Error("the same words are other bytes the second time: publishing them again would be refused")
		}
	}
}

func TestLargestCheckFits(t *testing.T) {
	t.Parallel()
	p := preview()
	line := strings.Repeat("ü", 63) + "\n"
	body := strings.Repeat(line, 65535/64)
	p.Check.Summary, p.Check.Text, p.Comment.Body = body, body, p.Comment.Marker+body
	signer := newSigner(t)
	if _, err := Verify(sign(t, p, signer), []envelope.PublicKey{signer.Public()}); err != nil {
		t.Error(err)
	}
}

func TestTheKeyAsFoundProvesThatNobodyChangedIt(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	good := sign(t, live(), signer)
	r, err := VerifyAsFound(good)
	if err != nil || r.Key().ID() != signer.Public().ID() {
		t.Fatalf("got %v, %v", r.Key().ID(), err)
	}
	if _, err := VerifyAsFound(inPayload(t, good, `"title":"Live`, `"title":"live`)); !errors.Is(err, ErrSignature) {
		t.Errorf("changed: got %v, want ErrSignature", err)
	}
	other := newSigner(t).Public()
	renamed := inPayload(t, good, quoted(t, signer.Public().PEM()), quoted(t, other.PEM()))
	if _, err := VerifyAsFound(renamed); !errors.Is(err, ErrMalformed) {
		t.Errorf("another key in the statement: got %v, want ErrMalformed", err)
	}
}

func TestSignRefusesWhatNobodyCouldRead(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	for name, change := range map[string]func(*Predicate){
		"microseconds":            func(p *Predicate) { p.IssuedAt = noon().Add(time.Microsecond) },
		"a check of another one":  func(p *Predicate) { p.Check.ExternalID = "sha256:" + strings.Repeat("cd", 32) },
		"a short commit":          func(p *Predicate) { p.Check.Commit = "9f2c1ab" },
		"no conclusion":           func(p *Predicate) { p.Check.Conclusion = "" },
		"no number":               func(p *Predicate) { p.Number = 0 },
		"a comment of no marker":  func(p *Predicate) { p.Comment.Body = "hello" },
		"51 annotations":          func(p *Predicate) { p.Check.Annotations = make([]Annotation, 51) },
		"an annotation of line 0": func(p *Predicate) { p.Check.Annotations[0].Line = 0 },
	} {
		p := preview()
		change(&p)
		if _, err := Sign(t.Context(), digest(), p, signer); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		}
	}
}

func TestAnyFlippedBitIsRefused(t *testing.T) {
	t.Parallel()
	signer := newSigner(t)
	keys := []envelope.PublicKey{signer.Public()}
	good := sign(t, rollingOut(), signer)
	for i := range good {
		for bit := range 8 {
			flipped := bytes.Clone(good)
			flipped[i] ^= 1 << bit
			if _, err := Verify(flipped, keys); err == nil {
				t.Fatalf("bit %d of byte %d flipped (%q): accepted", bit, i, good[max(0, i-10):min(len(good), i+10)])
			}
			if bit != i%8 { // one way to read it is enough for most: the race detector is slow
				continue
			}
			if _, err := VerifyAsFound(flipped); err == nil {
				t.Fatalf("bit %d of byte %d flipped (%q): accepted as found", bit, i, good[max(0, i-10):min(len(good), i+10)])
			}
		}
	}
}

func FuzzVerify(f *testing.F) {
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		f.Fatal(err)
	}
	// A key of its own in every worker would make strangers of them.
	signer, err := envelope.NewKeySigner(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		f.Fatal(err)
	}
	good := sign(f, live(), signer)
	f.Add(good)
	f.Add([]byte(`{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":"","sig":"AA=="}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := Verify(data, []envelope.PublicKey{signer.Public()}); err == nil && !bytes.Equal(data, good) {
			t.Fatalf("verified what was never signed: %s", data)
		}
		if _, err := VerifyAsFound(data); err == nil && !bytes.Equal(data, good) {
			t.Fatalf("verified what was never signed: %s", data)
		}
	})
}

// inPayload is an envelope with something else in its statement, which nobody has
// signed.
func inPayload(t *testing.T, data []byte, old, with string) []byte {
	t.Helper()
	sealed, _, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(sealed.Payload, []byte(old)) {
		t.Fatalf("%q is not in the statement", old)
	}
	was := base64.StdEncoding.EncodeToString(sealed.Payload)
	is := base64.StdEncoding.EncodeToString(bytes.Replace(sealed.Payload, []byte(old), []byte(with), 1))
	return bytes.Replace(data, []byte(was), []byte(is), 1)
}

func quoted(t *testing.T, text string) string {
	t.Helper()
	data, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// transplant puts the signature of one envelope under the content of another.
func transplant(t *testing.T, signatureOf, contentOf []byte) []byte {
	t.Helper()
	from, _, err := open(signatureOf)
	if err != nil {
		t.Fatal(err)
	}
	to, _, err := open(contentOf)
	if err != nil {
		t.Fatal(err)
	}
	to.Signature = from.Signature
	data, err := to.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func unsigned(t *testing.T, data []byte) []byte {
	t.Helper()
	sealed, _, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Replace(data, []byte(base64.StdEncoding.EncodeToString(sealed.Signature.Sig)), nil, 1)
}
