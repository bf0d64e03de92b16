package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/inhaul/inhaul/envelope"
	"github.com/inhaul/inhaul/receipt"
)

// Receipts knows what the agent says beside the intents.
type Receipts interface {
	// FetchReceipt returns the envelope of the intent's receipt with that number, if
	// it is there. A *UserError says that asking again is useless.
	FetchReceipt(ctx context.Context, repository, intent string, number int) (envelope []byte, found bool, err error)
}

// maxReceipts bounds how many receipts of one intent are read.
const maxReceipts = 1000

// askRegistry reads the receipts that have come since the last time.
func (w *waiting) askRegistry(ctx context.Context) error {
	w.registry.asked(w.a.Now())
	for !w.ended() && w.number <= maxReceipts {
		data, found, err := w.a.Receipts.FetchReceipt(ctx, w.d.intents, w.d.intent, w.number)
		if user, ok := errors.AsType[*UserError](err); ok && w.last == nil { // what was read once can be read again
			w.deaf = user
			w.a.notice("receipts of the agent cannot be read, so that only its check run can answer: " + user.Message)
			return nil
		}
		if w.lost = err; err != nil || !found {
			return nil //nolint:nilerr // because the next question is the retry
		}
		if err := w.hear(data); err != nil {
			return err
		}
		w.number++
	}
	return nil
}

// hear takes a receipt for what the agent says.
func (w *waiting) hear(data []byte) error {
	r, err := w.a.readReceipt(data, w.d)
	if err != nil {
		return err
	}
	p := r.Predicate()
	if p.Number != w.number {
		return userError(fmt.Sprintf("the receipt that was published as number %d says that it is number %d", w.number, p.Number), foreignNext)
	}
	w.last, w.seen = &r, true
	address := cmp.Or(webAddress(p.Check.DetailsURL), w.d.check.URL)
	w.d.check = Check{
		Status: p.Check.Status, Conclusion: p.Check.Conclusion, Title: p.Check.Title, Summary: p.Check.Summary, URL: address,
	}.bounded()
	if m := p.Marker; m != nil {
		w.d.marker = marker(*m).bounded()
	}
	if w.ended() {
		w.d.image = cmp.Or(w.d.image, w.d.marker.Image)
	}
	w.tell(w.d.check)
	if !p.Reported {
		w.plan(r)
	}
	return nil
}

// foreignNext is what to do about a receipt of which the content is wrong.
const foreignNext = "somebody who may push to the intents repository has put it there: see who that is, and pin the agent's key with the input receipt-key"

// readReceipt verifies a receipt, and that it is about d.
func (a *Action) readReceipt(data []byte, d *deploy) (receipt.Receipt, error) {
	r, err := a.verifyReceipt(data, d.inputs.ReceiptKey)
	if err != nil {
		return r, err
	}
	p := r.Predicate()
	if r.Intent() == d.intent && p.App != d.app.Name { // more likely a slip than somebody else's receipt
		return r, userError(fmt.Sprintf("the cluster's App that watches %s is called %s, and inhaul.yaml says `app: %s`", d.intents, quiet(p.App), d.app.Name),
			fmt.Sprintf("give both one name: `app` in inhaul.yaml, and the App resource (`kubectl -n inhaul get apps -o wide` lists them with what they watch); if no App is called %s, %s", quiet(p.App), foreignNext))
	}
	for _, c := range []struct{ what, got, want string }{
		{"intent", r.Intent(), d.intent},
		{"environment", p.Environment, d.environment},
		{"repository", cmp.Or(p.Check.Repository, d.source.Repository), d.source.Repository},
	} {
		if c.got != c.want {
			return r, userError(fmt.Sprintf("the receipt is for another %s: got %s, want %s", c.what, quiet(c.got), c.want), foreignNext)
		}
	}
	if commit := r.Commit(); commit != "" && commit != d.source.Commit && commit != d.source.HeadCommit {
		return r, userError(fmt.Sprintf("the receipt is for another commit: got %s, want %s", commit, d.commit()), foreignNext)
	}
	return r, nil
}

// verifyReceipt believes a pinned key alone; without one, the registry's rights
// are all that protects a receipt.
func (a *Action) verifyReceipt(data []byte, pinned *envelope.PublicKey) (receipt.Receipt, error) {
	if pinned == nil {
		r, err := receipt.VerifyAsFound(data)
		if err != nil {
			return r, userError("a receipt was refused: "+err.Error(), foreignNext)
		}
		a.notice(fmt.Sprintf("the verdict's receipt is signed by the key %s, which is taken as found: to pin it, "+
			"set the input receipt-key to what `kubectl -n inhaul get configmap inhaul-receipt-key -o jsonpath='{.data.public\\.pem}'` prints", r.Key().ID()))
		return r, nil
	}
	r, err := receipt.Verify(data, []envelope.PublicKey{*pinned})
	if unknown, ok := errors.AsType[*receipt.UnknownKeyError](err); ok {
		return r, userError(fmt.Sprintf("a receipt was refused: it is signed by the key %.80q, and receipt-key is %s", unknown.KeyID, pinned.ID()),
			"was the agent's key replaced? set receipt-key to what `kubectl -n inhaul get configmap inhaul-receipt-key -o jsonpath='{.data.public\\.pem}'` prints; if it was not, somebody else may push to the intents repository")
	}
	if err != nil {
		return r, userError("a receipt was refused: "+err.Error(), foreignNext)
	}
	return r, nil
}

// receiptKey takes a public key in PEM.
func receiptKey(value string, into **envelope.PublicKey) error {
	if value == "" {
		return nil
	}
	key, err := envelope.ParsePublicKey([]byte(value))
	if err != nil {
		return fmt.Errorf("want the agent's public key in PEM: %w", err)
	}
	*into = &key
	return nil
}

// ours is the receipt's check as this run may write it: on its own commit, under
// one of its own names, whatever the receipt says.
func (d *deploy) ours(c receipt.Check) receipt.Check {
	c.Repository, c.Commit, c.ExternalID, c.DetailsURL = d.source.Repository, d.commit(), d.intent, webAddress(c.DetailsURL)
	if names := checkNames(d); !slices.Contains(names, c.Name) {
		c.Name = names[0]
	}
	return c
}
