package cluster

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
)

// TestDerivationsAreFrozen holds what is derived from a seed to what it was in
// the first release: another value would give every app another secret key. The
// wanted values were computed apart from this code, with Python's hmac.
func TestDerivationsAreFrozen(t *testing.T) {
	t.Parallel()
	s := make(seed, seedBytes)
	for i := range s {
		s[i] = byte(i)
	}
	for variable, want := range map[string]string{
		"SECRET_KEY_BASE": "fef9288273ed8c35c52cb6b02f3a62ff9fb53f29f33f1b7c2a262b4e83adf948",
		"OTHER":           "5b8e8f9eece0a31b600fe1348be45a74ff2dcdf4b8717c13fe2b38df5891e2e3",
	} {
		if got, err := s.value(variable, 32); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", variable, got, err, want)
		}
	}
	got, err := s.digest(map[string][]byte{"B": []byte("2"), "A": {0xff}})
	if want := "6cff1d3e983b882b0c673f80da012b80cfbabffc57fdfc04c945d4a8ffffb921"; err != nil || got != want {
		t.Errorf("digest: got %s, %v; want %s", got, err, want)
	}
}

func TestGeneratedValues(t *testing.T) {
	t.Parallel()
	value := func(s seed, variable string, bytes int) string {
		got, err := s.value(variable, bytes)
		if err != nil || len(got) != 2*bytes {
			t.Fatalf("%s: got %q, %v; want %d digits", variable, got, err, 2*bytes)
		}
		return got
	}
	first, _ := newSeed(testRelease("shop", 1))
	second, _ := newSeed(testRelease("shop", 1))
	if one, again := value(first, "A", 32), value(first, "A", 32); one != again {
		t.Error("a variable has two values")
	}
	if value(first, "A", 128) == value(first, "B", 128) {
		t.Error("two variables have one value")
	}
	if value(first, "A", 16) == value(second, "A", 16) {
		t.Error("two seeds give one value")
	}
}

func TestDigestTellsContentsApart(t *testing.T) {
	t.Parallel()
	s, _ := newSeed(testRelease("shop", 1))
	other, _ := newSeed(testRelease("shop", 1))
	digest := func(s seed, data map[string][]byte) string {
		got, err := s.digest(data)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	content := map[string][]byte{"A": []byte("1234")}
	seen := map[string]string{digest(s, content): "the content"}
	for name, got := range map[string]string{
		"another value":              digest(s, map[string][]byte{"A": []byte("1235")}),
		"another key":                digest(s, map[string][]byte{"B": []byte("1234")}),
		"a letter moved":             digest(s, map[string][]byte{"A1": []byte("234")}),
		"bytes that are no text":     digest(s, map[string][]byte{"A": {0xff}}),
		"other bytes that are none":  digest(s, map[string][]byte{"A": {0xfe}}),
		"the same under another key": digest(other, content),
	} {
		if before, taken := seen[got]; taken {
			t.Errorf("%s has the digest of %s", name, before)
		}
		seen[got] = name
	}
}

func TestSeedIsKept(t *testing.T) {
	t.Parallel()
	r := testRelease("test", 1)
	made, secret := newSeed(r)
	if secret.Name != "shop-generated" || secret.Namespace != r.Namespace || secret.Immutable == nil || !*secret.Immutable {
		t.Errorf("got %+v", secret.ObjectMeta)
	}
	if err := sameOwner(agent.Object{}, secret, appLabels(r)); err != nil {
		t.Error(err)
	}
	if read, err := readSeed(secret); err != nil || !bytes.Equal(read, made) {
		t.Errorf("got %v, want it as it was made", err)
	}
	damaged := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "shop-generated"}, Data: map[string][]byte{seedKey: []byte("hunter2")}}
	var rejected *agent.Rejected
	if _, err := readSeed(damaged); !errors.As(err, &rejected) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a damaged seed: got %v", err)
	}
}
