package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/envelope"
	"github.com/inhaul/inhaul/internal/oci"
	"github.com/inhaul/inhaul/receipt"
)

// keyAge is how long a key is used before the cluster is asked for it again: so
// soon a deleted Secret has become a new key.
const keyAge = 5 * time.Minute

// receiptKeys is where the key that signs receipts is kept.
type receiptKeys interface {
	// ReceiptKey returns the key. With it an error says that people cannot read its
	// public half.
	ReceiptKey(ctx context.Context) (*envelope.KeySigner, error)
}

// receipts are receipts in a registry as the agent sees them.
type receipts struct {
	registry *oci.Registry
	keys     receiptKeys
	leads    func() error // asked before every write
	now      func() time.Time
	logger   *slog.Logger

	mu     sync.Mutex
	signer *envelope.KeySigner // nil until the first receipt
	asked  time.Time           // for signer
}

var _ agent.Receipts = (*receipts)(nil)

func newReceipts(registry *oci.Registry, keys receiptKeys, leads func() error, now func() time.Time, logger *slog.Logger) *receipts {
	return &receipts{registry: registry, keys: keys, leads: leads, now: now, logger: logger.With("component", "receipts")}
}

// PublishReceipt says ErrExists for a number that another receipt has, and
// ErrNotPermitted where the registry refuses it. What is too
// long for a receipt is cut where it can be seen.
func (r *receipts) PublishReceipt(ctx context.Context, of agent.Receipt) error {
	signer, err := r.key(ctx)
	if err != nil {
		return err
	}
	envelope, err := receipt.Sign(ctx, of.Intent, predicate(of), signer)
	if err != nil {
		return err
	}
	if err := r.leads(); err != nil {
		return err
	}
	err = r.registry.PublishReceipt(ctx, of.Intents, of.Intent, of.Number, envelope)
	switch {
	case errors.Is(err, oci.ErrTaken):
		return fmt.Errorf("%w: %w", agent.ErrExists, err)
	case errors.Is(err, oci.ErrRefused):
		return fmt.Errorf("%w: %w: the agent needs the right to push to %s, or a GitHub App, or INHAUL_RECEIPTS=off", agent.ErrNotPermitted, err, of.Intents)
	}
	return err
}

// key returns the key to sign with.
func (r *receipts) key(ctx context.Context) (*envelope.KeySigner, error) {
	now := r.now()
	r.mu.Lock()
	known, asked := r.signer, r.asked
	r.mu.Unlock()
	if known != nil && now.Before(asked.Add(keyAge)) {
		return known, nil
	}
	signer, err := r.keys.ReceiptKey(ctx)
	if signer == nil {
		return nil, err
	}
	if err != nil { // it signs all the same, and is told of once in keyAge
		r.logger.Warn("the public half of the receipts' key cannot be read by people", "error", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.signer == nil || r.signer.Public().ID() != signer.Public().ID() {
		r.logger.Info("receipts are signed", "name", signer.Public().ID())
	}
	r.signer, r.asked = signer, now
	return signer, nil
}

// predicate is of in the words of a receipt.
func predicate(of agent.Receipt) receipt.Predicate {
	c := of.Check
	p := receipt.Predicate{
		Number: of.Number, Final: of.Final, App: of.Line.App, Environment: of.Line.Environment,
		Release: of.Marker.Release, Reported: of.Reported, IssuedAt: whole(of.At),
		Check: receipt.Check{
			Repository: c.Repository, Commit: c.Commit, Name: c.Name, ExternalID: of.Intent,
			Status: string(c.Status), Conclusion: string(c.Conclusion),
			Title: cut(c.Title, receipt.MaxTitleBytes), Summary: cut(c.Summary, receipt.MaxBodyBytes), Text: cut(c.Text, receipt.MaxBodyBytes),
			DetailsURL: c.DetailsURL, StartedAt: whole(c.StartedAt), CompletedAt: whole(c.CompletedAt),
		},
	}
	for _, a := range c.Annotations[:min(len(c.Annotations), receipt.MaxAnnotations)] {
		p.Check.Annotations = append(p.Check.Annotations, receipt.Annotation{
			Path: a.Path, Line: a.Line, Level: a.Level, Title: cut(a.Title, receipt.MaxTitleBytes), Message: cut(a.Message, receipt.MaxNoteBytes),
		})
	}
	if of.Marker != (agent.Marker{}) {
		m := receipt.Marker(of.Marker)
		p.Marker = &m
	}
	if of.Comment != nil {
		p.Comment = &receipt.Comment{
			Repository: of.Comment.Repository, PullRequest: of.Comment.PullRequest, Marker: of.Comment.Marker,
			Body: cut(of.Comment.Body, receipt.MaxBodyBytes),
		}
	}
	return p
}

// whole is t as a receipt can say it.
func whole(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// truncated ends what was cut.
const truncated = "… truncated"

// cut bounds text where a reader sees it.
func cut(text string, most int) string {
	text = strings.ToValidUTF8(text, "�")
	if len(text) <= most {
		return text
	}
	text = text[:most-len(truncated)]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text + truncated
}
