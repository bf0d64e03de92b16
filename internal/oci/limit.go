package oci

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// limitKey is the context key of the largest answer that a caller takes.
type limitKey struct{}

// withLimit lowers the size of answers to requests under ctx. The registry
// client reads manifests and lists without a useful limit of its own, so the
// limit is kept where every answer passes.
func withLimit(ctx context.Context, bytes int64) context.Context {
	return context.WithValue(ctx, limitKey{}, bytes)
}

// capped refuses answers over the limit of their request's context.
type capped struct{ inner http.RoundTripper }

func (c capped) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.inner.RoundTrip(req)
	if err != nil || resp.Body == nil || req.Method == http.MethodHead {
		return resp, err
	}
	limit, ok := req.Context().Value(limitKey{}).(int64)
	if !ok {
		limit = maxAnswerBytes
	}
	resp.Body = &cappedBody{ReadCloser: resp.Body, left: limit, limit: limit}
	return resp, nil
}

type cappedBody struct {
	io.ReadCloser
	left, limit int64
}

func (b *cappedBody) Read(p []byte) (int, error) {
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1] // one more than allowed shows that there is more
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("%w: the answer has more than %d bytes", ErrTooLarge, b.limit)
	}
	return n, err
}
