package cli_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/inhaul/inhaul/cli"
	"github.com/inhaul/inhaul/envelope"
	"github.com/inhaul/inhaul/receipt"
)

// shelf is a registry with receipts.
type shelf map[string][]byte

func (s shelf) FetchReceiptAt(_ context.Context, reference string) ([]byte, error) {
	if data, found := s[reference]; found {
		return data, nil
	}
	return nil, errors.New("not found in the registry")
}

func signer(t *testing.T) *envelope.KeySigner {
	t.Helper()
	private, err := envelope.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := envelope.NewKeySigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func TestVerifyReceipt(t *testing.T) {
	t.Parallel()
	const reference = "registry.example.com/shop-intents:receipt.abababababababababab.2"
	ours, intent := signer(t), "sha256:"+strings.Repeat("ab", 32)
	at := time.Date(2026, 11, 22, 12, 0, 14, 0, time.UTC)
	good, err := receipt.Sign(t.Context(), intent, receipt.Predicate{
		Number: 2, Final: true, App: "shop", Environment: "production", Release: 12, IssuedAt: at,
		Check: receipt.Check{
			Repository: "acme/shop", Commit: strings.Repeat("9f2c1ab0", 5), Name: "inhaul / production", ExternalID: intent,
			Status: "completed", Conclusion: "success", Title: "Live in 14 s\x1b[31m", CompletedAt: at,
		},
	}, ours)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	key, other := file("agent.pem", []byte(ours.Public().PEM())), file("other.pem", []byte(signer(t).Public().PEM()))
	whole, tampered := file("receipt.json", good), file("tampered.json", bytes.Replace(good, []byte(`"sig":"`), []byte(`"sig":"A`), 1))
	said := []string{
		": good\n", "said         success: Live in 14 s\uFFFD[31m\n", "of           shop in production, release 12\n",
		"commit       " + strings.Repeat("9f2c1ab0", 5) + " acme/shop\n", "at           2026-11-22T12:00:14Z\n",
		"number       2, the last word\n", "intent       " + intent + "\n", "by the key   " + ours.Public().ID() + "\n",
	}
	for _, c := range []struct {
		name string
		args []string
		code int
		want []string
	}{
		{"a file", []string{"--key", key, whole}, 0, said},
		{"standard input", []string{"--key", key, "-"}, 0, said},
		{"a reference, of that intent", []string{"--key", key, "--intent", intent, reference}, 0, said},
		{"another intent", []string{"--key", key, "--intent", "sha256:" + strings.Repeat("cd", 32), whole}, 1, []string{"about another intent", "got " + intent}},
		{"another key", []string{"--key", other, whole}, 1, []string{"does not verify", ours.Public().ID(), "next: give the key of the agent"}},
		{"changed", []string{"--key", key, tampered}, 1, []string{"does not verify", "tampered.json: ", "next: "}},
		{"one good, two bad", []string{"--key", key, tampered, whole, other}, 1, []string{"tampered.json: ", ": good", "other.pem: "}},
		{"nothing there", []string{"--key", key, reference + "1"}, 1, []string{"could not be fetched", "not found in the registry"}},
		{"no such file", []string{"--key", key, filepath.Join(dir, "nowhere")}, 1, []string{"cannot be read"}},
		{"no key", []string{whole}, 1, []string{"--key"}},
		{"a key that is none", []string{"--key", whole, whole}, 1, []string{"this is no public key"}},
		{"a digest that is none", []string{"--key", key, "--intent", "abc", whole}, 1, []string{"this is no digest"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			inhaul := cli.Commands{
				Version: "v1.2.3", Stdin: bytes.NewReader(good), Stdout: &out, Stderr: &out, Files: cli.Disk{},
				Receipts: shelf{reference: good},
			}
			if code := inhaul.Run(t.Context(), append([]string{"verify-receipt"}, c.args...)); code != c.code {
				t.Errorf("got exit code %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("got\n%s\nwant %q in it", out.String(), want)
				}
			}
		})
	}
}
