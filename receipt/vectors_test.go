package receipt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/envelope"
)

var update = flag.Bool("update", false, "write the vectors that are not there yet")

// vector is one file of testdata/vectors. Any implementation of the format can
// run them; docs/receipt-format.md says how.
type vector struct {
	Expect   string   `json:"expect"` // "ok", or the text of one of the errors
	Why      string   `json:"why"`
	Keys     []string `json:"keys"`            // PEM
	Envelope string   `json:"envelope"`        // the exact bytes, base64
	Times    int      `json:"times,omitempty"` // so often, one after the other; once if left out
	Digest   string   `json:"digest,omitempty"`
}

func outcomes() map[string]error {
	all := map[string]error{"ok": nil}
	for _, err := range []error{ErrTooLarge, ErrMalformed, ErrUnknownField, ErrType, ErrUnsigned, ErrSignature, ErrUnknownKey} {
		all[err.Error()] = err
	}
	return all
}

func TestVectors(t *testing.T) {
	t.Parallel()
	if *update {
		writeVectors(t)
	}
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) < 20 {
		t.Fatalf("got %d vectors (%v), want at least 20", len(files), err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		if err := json.Unmarshal(data, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		seen[v.Expect] = true
		t.Run(strings.TrimSuffix(filepath.Base(file), ".json"), func(t *testing.T) { t.Parallel(); run(t, v) })
	}
	for expect := range outcomes() {
		if !seen[expect] {
			t.Errorf("no vector expects %q", expect)
		}
	}
}

func run(t *testing.T, v vector) {
	t.Helper()
	want, known := outcomes()[v.Expect]
	if !known {
		t.Fatalf("unknown expectation %q", v.Expect)
	}
	data, err := base64.StdEncoding.DecodeString(v.Envelope)
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.Repeat(data, max(1, v.Times))
	var keys []envelope.PublicKey
	for _, text := range v.Keys {
		key, err := envelope.ParsePublicKey([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	r, err := Verify(data, keys)
	if !errors.Is(err, want) || (want == nil) != (err == nil) {
		t.Fatalf("%s: got error %v, want %v", v.Why, err, want)
	}
	if r.Digest() != v.Digest {
		t.Errorf("got digest %q, want %q", r.Digest(), v.Digest)
	}
}

// writeVectors writes the vectors that are not there yet. Those that are stay as
// they are, byte by byte: they are what other implementations were checked with.
func writeVectors(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll("testdata/vectors", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, v := range makeVectors(t) {
		file := filepath.Join("testdata/vectors", name+".json")
		if _, err := os.Stat(file); err == nil {
			continue
		}
		data, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func makeVectors(t *testing.T) map[string]vector {
	t.Helper()
	ours, stranger := newSigner(t), newSigner(t)
	vectors := map[string]vector{}
	add := func(name, expect, why string, data []byte) {
		v := vector{Expect: expect, Why: why, Keys: []string{ours.Public().PEM()}, Envelope: base64.StdEncoding.EncodeToString(data)}
		if r, err := Verify(data, []envelope.PublicKey{ours.Public()}); err == nil && expect == "ok" {
			v.Digest = r.Digest()
		}
		vectors[name] = v
	}
	good := sign(t, live(), ours)
	add("live", "ok", "a release that is live", good)
	add("rolling-out", "ok", "a release on its way", sign(t, rollingOut(), ours))
	add("preview", "ok", "a pull request's, with its comment", sign(t, preview(), ours))
	add("refused", "ok", "an intent of which nothing is trusted", sign(t, refused(), ours))
	add("wrong-key", ErrUnknownKey.Error(), "another agent's key", sign(t, live(), stranger))
	add("bad-signature", ErrSignature.Error(), "the signature of another receipt", transplant(t, sign(t, rollingOut(), ours), good))
	add("forged", ErrMalformed.Error(), "another agent's, under our key's name", bytes.Replace(sign(t, live(), stranger), []byte(stranger.Public().ID()), []byte(ours.Public().ID()), 1))

	inPayload := func(old, with string) []byte { return inPayload(t, good, old, with) }
	malformed := ErrMalformed.Error()
	add("tampered-conclusion", ErrSignature.Error(), "red made green", inPayload(`"title":"Live`, `"title":"live`))
	add("tampered-release", ErrSignature.Error(), "another release", inPayload(`"number":2,"release":12`, `"number":2,"release":13`))
	add("of-another-intent", malformed, "the subject is another intent than the check's", inPayload(`"sha256":"abab`, `"sha256":"bbab`))
	add("of-another-commit", malformed, "the subject is another commit than the check's", inPayload(`"gitCommit":"9f2c`, `"gitCommit":"8f2c`))
	add("predicate-type-of-tomorrow", ErrType.Error(), "a newer format", inPayload(PredicateType, "https://inhaul.dev/receipt/v2"))
	add("unknown-field", ErrUnknownField.Error(), "written by a newer signer", inPayload(`"final":true`, `"final":true,"grace":1`))
	add("final-on-its-way", malformed, "final, and not completed", inPayload(`"final":true`, `"final":false`))
	add("number-zero", malformed, "numbers start at 1", inPayload(`"number":2`, `"number":0`))
	add("environment-with-slash", malformed, "not a DNS label", inPayload(`"environment":"production"`, `"environment":"../kube"`))
	add("unknown-conclusion", malformed, "a word that GitHub does not know", inPayload(`"conclusion":"success"`, `"conclusion":"superb"`))
	add("local-time", malformed, "times have to be UTC", inPayload(`"issuedAt":"2026-11-22T12:00:14Z"`, `"issuedAt":"2026-11-22T13:00:14+01:00"`))
	add("empty", malformed, "no bytes", nil)
	add("white-space", malformed, "not canonical", append(bytes.Clone(good), '\n'))
	add("duplicate-key", malformed, "the last one wins in many decoders", bytes.Replace(good, []byte(`{`), []byte(`{"payload":"",`), 1))
	add("unsigned", ErrUnsigned.Error(), "no signature", unsigned(t, good))
	add("too-large", ErrTooLarge.Error(), "one byte too many", []byte(" "))
	large := vectors["too-large"]
	large.Times = MaxEnvelopeBytes + 1
	vectors["too-large"] = large
	return vectors
}
