package oci

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The parts of a receipt's tag.
const (
	receiptPrefix       = "receipt."
	receiptDigestLength = 20 // hex digits of the intent digest: 80 bits, and whoever finds a receipt compares all of them
)

// ReceiptTag is where receipt number n of the intent with that digest
// ("sha256:…") is published: receipt.<start of the digest>.<number>. No intent
// has such a tag; see ParseTag.
func ReceiptTag(intentDigest string, number int) string {
	hex := strings.TrimPrefix(intentDigest, "sha256:")
	return receiptPrefix + hex[:min(len(hex), receiptDigestLength)] + "." + strconv.Itoa(number)
}

// PublishReceipt puts a receipt beside its intent. Publishing the same again is
// no error and writes nothing. Something else under its number is ErrTaken, and
// a repository that does not exist ErrNotFound.
func (r *Registry) PublishReceipt(ctx context.Context, repository, intentDigest string, number int, envelope []byte) error {
	_, err := r.publish(ctx, receiptKind(), repository, ReceiptTag(intentDigest, number), envelope)
	return err
}

// FetchReceipt returns the envelope of receipt number n of an intent, if it is
// there: that it is not is no error, and costs one request. What is there but is
// no receipt is ErrNotReceipt, and over its bounds ErrTooLarge.
func (r *Registry) FetchReceipt(ctx context.Context, repository, intentDigest string, number int) (envelope []byte, found bool, err error) {
	envelope, err = r.fetch(ctx, receiptKind(), repository, ReceiptTag(intentDigest, number))
	if errors.Is(err, ErrNotFound) {
		return nil, false, nil
	}
	return envelope, err == nil, err
}

// FetchReceiptAt returns the envelope of the receipt that reference names, by tag
// (repository:receipt.….1) or digest. Errors: those of FetchReceipt, and
// ErrNotFound.
func (r *Registry) FetchReceiptAt(ctx context.Context, reference string) ([]byte, error) {
	at := strings.LastIndexAny(reference, ":@")
	if at <= strings.LastIndexByte(reference, '/') {
		return nil, fmt.Errorf("reference %q: want one with a tag, such as registry.example.com/team/app-intents:%s", reference, ReceiptTag("sha256:"+strings.Repeat("0", receiptDigestLength), 1))
	}
	return r.fetch(ctx, receiptKind(), reference[:at], reference[at+1:])
}
