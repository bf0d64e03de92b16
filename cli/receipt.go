package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/inhaul/inhaul/envelope"
	"github.com/inhaul/inhaul/receipt"
)

// Receipts are those in registries.
type Receipts interface {
	// FetchReceiptAt returns the receipt that reference names.
	FetchReceiptAt(ctx context.Context, reference string) ([]byte, error)
}

// maxKeyBytes is far above a public key in PEM.
const maxKeyBytes = 16 << 10

// verifyReceiptCommand is `inhaul verify-receipt`.
type verifyReceiptCommand struct {
	Receipts []string `arg:"" name:"receipt" help:"A file, - for standard input, or a reference such as registry.example.com/shop-intents:receipt.0a1b2c3d….1."`
	Key      string   `required:"" placeholder:"FILE" help:"The agent's public key, PEM."`
	Intent   string   `placeholder:"DIGEST" help:"Digest of the intent that they have to be about."`
}

// Help is shown by --help.
func (verifyReceiptCommand) Help() string {
	return `Says who said what about which commit, and when, if the agent's key has signed it and nobody has
changed it since. Files are verified without any network; references are fetched first.

Examples:

    kubectl -n inhaul get configmap inhaul-receipt-key -o jsonpath='{.data.public\.pem}' > agent.pem
    inhaul verify-receipt --key agent.pem receipt.json
    inhaul verify-receipt --key agent.pem registry.example.com/shop-intents:receipt.0a1b2c3d4e5f0a1b2c3d.2`
}

// Run verifies all receipts, and fails if one of them is not good.
func (o verifyReceiptCommand) Run(ctx context.Context, c Commands) error {
	pem, err := c.read(o.Key, maxKeyBytes)
	if err != nil {
		return unreadable(shown(o.Key), err, "name the file with the agent's public key: its ConfigMap inhaul-receipt-key has it")
	}
	key, err := envelope.ParsePublicKey(pem)
	if err != nil {
		return &fault{what: "this is no public key", why: shown(o.Key) + ": " + err.Error(), next: "name the file with the agent's public key in PEM: its ConfigMap inhaul-receipt-key has it"}
	}
	if o.Intent != "" && !digest(o.Intent) {
		return &fault{what: "this is no digest", why: fmt.Sprintf("--intent is %q", o.Intent), next: "give it as sha256: and 64 hex digits, as the Action's output intent has it"}
	}
	var last error
	for _, name := range o.Receipts {
		c.tellEarlier(last)
		last = nil
		r, err := o.verify(ctx, c, name, key)
		if err != nil {
			last = err
			continue
		}
		if _, err := fmt.Fprint(c.Stdout, told(name, r)); err != nil {
			return err
		}
	}
	return last
}

// tellEarlier tells of one failure before another one, which the caller tells.
func (c Commands) tellEarlier(err error) {
	if err != nil {
		c.tell(err)
	}
}

func (o verifyReceiptCommand) verify(ctx context.Context, c Commands, name string, key envelope.PublicKey) (receipt.Receipt, error) {
	var data []byte
	var err error
	if isReference(name) {
		if data, err = c.Receipts.FetchReceiptAt(ctx, name); err != nil {
			return receipt.Receipt{}, &fault{what: "the receipt could not be fetched", why: name + ": " + err.Error(), next: "log in with docker login, and see that the receipt is there: the agent publishes it beside the intent"}
		}
	} else if data, err = c.read(name, receipt.MaxEnvelopeBytes); err != nil {
		return receipt.Receipt{}, unreadable(shown(name), err, "name a file with a receipt, or a reference of one")
	}
	r, err := receipt.Verify(data, []envelope.PublicKey{key})
	if err != nil {
		return r, refusedReceipt(name, key, err)
	}
	if o.Intent != "" && r.Intent() != o.Intent {
		return r, &fault{what: "the receipt is about another intent", why: fmt.Sprintf("%s: got %s, want %s", shown(name), r.Intent(), o.Intent), next: "look for the receipt of that intent: its tag is receipt. and the first 20 digits of the digest"}
	}
	return r, nil
}

// isReference tells a reference from a file: it has the tag of a receipt, or a
// digest.
func isReference(name string) bool {
	return strings.Contains(name, "/") && (strings.Contains(name, ":receipt.") || strings.Contains(name, "@sha256:"))
}

func digest(text string) bool {
	hex, found := strings.CutPrefix(text, "sha256:")
	return found && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// refusedReceipt says why nothing of a receipt may be believed.
func refusedReceipt(name string, key envelope.PublicKey, err error) error {
	f := &fault{what: "the receipt does not verify: nothing in it may be believed", why: shown(name) + ": " + err.Error()}
	switch {
	case errors.Is(err, receipt.ErrUnknownKey):
		f.why += fmt.Sprintf(", and --key is %s", key.ID())
		f.next = "give the key of the agent that published it; if that was replaced, the one from before"
	case errors.Is(err, receipt.ErrSignature):
		f.next = "it was changed after it was signed: fetch it anew, and see who may push to the intents repository"
	case errors.Is(err, receipt.ErrUnknownField), errors.Is(err, receipt.ErrType):
		f.next = "is it a receipt? one of a newer agent needs a newer inhaul"
	default:
		f.next = "give the receipt byte by byte as the registry has it"
	}
	return f
}

// told says who said what about which commit, and when.
func told(name string, r receipt.Receipt) string {
	p := r.Predicate()
	var b strings.Builder
	line := func(label, value string) {
		if value != "" {
			fmt.Fprintf(&b, "  %-12s %s\n", label, printable(value))
		}
	}
	fmt.Fprintf(&b, "%s: good\n", shown(name))
	line("said", cmp.Or(p.Check.Conclusion, p.Check.Status)+": "+p.Check.Title)
	release := ""
	if p.Release > 0 {
		release = fmt.Sprintf(", release %d", p.Release)
	}
	line("of", p.App+" in "+p.Environment+release)
	line("commit", strings.TrimSpace(r.Commit()+" "+p.Check.Repository))
	line("at", p.IssuedAt.Format(time.RFC3339Nano))
	final := "more may follow"
	if p.Final {
		final = "the last word"
	}
	line("number", fmt.Sprintf("%d, %s", p.Number, final))
	fmt.Fprintf(&b, "  %-12s %s\n  %-12s %s\n", "intent", r.Intent(), "by the key", r.Key().ID())
	return b.String()
}
