package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// idTokenRetryWait is the first wait when GitHub's token endpoint does not answer.
const idTokenRetryWait = 250 * time.Millisecond

// ErrNoIDToken says that the workflow may not ask for ID tokens.
var ErrNoIDToken = errors.New("no ID token can be requested: the workflow needs `permissions: id-token: write`")

// RequestIDToken asks GitHub for the running workflow's ID token with the given audience. requestURL and bearer are
// ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN; if one is empty the error is [ErrNoIDToken].
// client may be nil. The token is a secret until it expires: mask it before anything prints.
func RequestIDToken(ctx context.Context, requestURL, bearer, audience string, client *http.Client) (string, error) {
	if requestURL == "" || bearer == "" {
		return "", ErrNoIDToken
	}
	separator := "?"
	if strings.Contains(requestURL, "?") {
		separator = "&"
	}
	address := requestURL + separator + "audience=" + url.QueryEscape(audience)
	body, status, err := fetch(ctx, boundedHTTP(client), address, http.Header{"Authorization": {"Bearer " + bearer}})
	if err != nil {
		return "", fmt.Errorf("requesting an ID token: %w", err)
	}
	if status != http.StatusOK {
		message := safeMessage(strings.ReplaceAll(string(body), bearer, "[redacted]"))
		return "", fmt.Errorf("requesting an ID token: got status %d, want 200: %s", status, message)
	}
	var answer struct {
		Value string `json:"value"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Value == "" {
		return "", errors.New("requesting an ID token: the answer has no token")
	}
	return answer.Value, nil
}

// fetch gets address with retries on server and network errors, and returns a capped body.
func fetch(ctx context.Context, client *http.Client, address string, header http.Header) ([]byte, int, error) {
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	maps.Copy(req.Header, header)
	retrying := &retryablehttp.Client{
		HTTPClient: client, RetryMax: maxTries - 1, RetryWaitMin: idTokenRetryWait, RetryWaitMax: maxRetryWait,
		CheckRetry:   retryablehttp.DefaultRetryPolicy,
		ErrorHandler: answerOrError,
		Backoff: func(first, most time.Duration, attempt int, resp *http.Response) time.Duration {
			if resp != nil {
				if wait, ok := retryAfter(resp.Header); ok {
					return min(wait, most)
				}
			}
			return jittered(first, most, attempt)
		},
	}
	resp, err := retrying.Do(req)
	if err != nil {
		return nil, 0, withoutURL(err)
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up: nothing is left to lose
	body, err := readCapped(resp.Body, maxBodyBytes)
	return body, resp.StatusCode, err
}
