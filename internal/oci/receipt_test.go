package oci

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/inhaul/inhaul/receipt"
)

func intentDigest() string { return "sha256:" + strings.Repeat("0a1b2c3d", 8) }

func TestReceiptTagIsNoIntents(t *testing.T) {
	t.Parallel()
	tag := ReceiptTag(intentDigest(), 7)
	if want := "receipt.0a1b2c3d0a1b2c3d0a1b.7"; tag != want {
		t.Errorf("got %s, want %s", tag, want)
	}
	for _, number := range []int{1, 7, receipt.MaxNumber, 123456789012} {
		if _, _, _, ok := ParseTag(ReceiptTag(intentDigest(), number)); ok {
			t.Errorf("%s is taken for an intent's", ReceiptTag(intentDigest(), number))
		}
	}
}

func TestReceiptsLieBesideTheirIntent(t *testing.T) {
	t.Parallel()
	e, r := newECR(t)
	if _, found, err := r.FetchReceipt(t.Context(), intents, intentDigest(), 1); found || err != nil {
		t.Fatalf("before there is one: got %v, %v, want nothing", found, err)
	}
	e.sent()
	if _, found, err := r.FetchReceipt(t.Context(), intents, intentDigest(), 1); found || err != nil {
		t.Fatalf("before there is one: got %v, %v, want nothing", found, err)
	}
	if sent := e.sent(); len(sent) != 1 {
		t.Errorf("asking for what is not there: got the requests %q, want one", sent)
	}
	first, second := []byte(`{"payload":"1"}`), []byte(`{"payload":"2"}`)
	for number, envelope := range map[int][]byte{1: first, 2: second} {
		if err := r.PublishReceipt(t.Context(), intents, intentDigest(), number, envelope); err != nil {
			t.Fatal(err)
		}
	}
	for number, want := range map[int][]byte{1: first, 2: second} {
		got, found, err := r.FetchReceipt(t.Context(), intents, intentDigest(), number)
		if err != nil || !found || !bytes.Equal(got, want) {
			t.Errorf("number %d: got %q, %v, %v", number, got, found, err)
		}
	}
	got, err := r.FetchReceiptAt(t.Context(), intents+":"+ReceiptTag(intentDigest(), 2))
	if err != nil || !bytes.Equal(got, second) {
		t.Errorf("by its reference: got %q, %v", got, err)
	}
	e.sent()
	if err := r.PublishReceipt(t.Context(), intents, intentDigest(), 1, first); err != nil {
		t.Errorf("again: got %v, want no error", err)
	}
	for _, request := range e.sent() {
		if !strings.HasPrefix(request, http.MethodHead) && !strings.HasPrefix(request, http.MethodGet) {
			t.Errorf("again: got %s, want nothing written", request)
		}
	}
	if err := r.PublishReceipt(t.Context(), intents, intentDigest(), 1, second); !errors.Is(err, ErrTaken) {
		t.Errorf("other words under its number: got %v, want ErrTaken", err)
	}
}

func TestReceiptsAreNoIntentsAndHaveBounds(t *testing.T) {
	t.Parallel()
	_, r := newECR(t)
	if _, err := r.Publish(t.Context(), intents, ReceiptTag(intentDigest(), 1), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.FetchReceipt(t.Context(), intents, intentDigest(), 1); !errors.Is(err, ErrNotReceipt) {
		t.Errorf("an intent as a receipt: got %v, want ErrNotReceipt", err)
	}
	large := bytes.Repeat([]byte("x"), MaxReceiptBytes)
	if err := r.PublishReceipt(t.Context(), intents, intentDigest(), 2, large); err != nil {
		t.Fatal(err)
	}
	if got, found, err := r.FetchReceipt(t.Context(), intents, intentDigest(), 2); err != nil || !found || len(got) != len(large) {
		t.Errorf("the largest: got %d bytes, %v, %v", len(got), found, err)
	}
	if _, err := r.Fetch(t.Context(), intents, ReceiptTag(intentDigest(), 2)); !errors.Is(err, ErrNotIntent) {
		t.Errorf("a receipt as an intent: got %v, want ErrNotIntent", err)
	}
	if err := r.PublishReceipt(t.Context(), intents, intentDigest(), 3, append(large, 'x')); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: got %v, want ErrTooLarge", err)
	}
	if MaxReceiptBytes != receipt.MaxEnvelopeBytes {
		t.Errorf("got %d bytes here and %d there", MaxReceiptBytes, receipt.MaxEnvelopeBytes)
	}
	for _, reference := range []string{intents, "example.com:5000/shop", "shop"} {
		if _, err := r.FetchReceiptAt(t.Context(), reference); err == nil {
			t.Errorf("%s: got no error, want one that asks for a tag", reference)
		}
	}
}
