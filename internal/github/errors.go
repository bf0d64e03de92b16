package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// maxMessageBytes keeps a server's words short enough for a log line.
const maxMessageBytes = 300

var (
	errRedirect = errors.New("refusing a redirect")
	errTooLarge = errors.New("the answer is too large")

	// secretPattern matches GitHub's tokens (classic, fine-grained and stateless, which carry a JWT) and bare JWTs.
	// https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
	secretPattern = regexp.MustCompile(`gh[a-z]_[A-Za-z0-9_.\-]+|github_pat_[A-Za-z0-9_]+|eyJ[A-Za-z0-9_\-]+(\.[A-Za-z0-9_\-]*){0,2}`)
)

// APIError is GitHub's refusal of one request. Message is what GitHub said: short, and without tokens.
type APIError struct {
	Status    int    // HTTP status
	Method    string // of the request
	Path      string // of the request, without query
	Message   string // at most 300 bytes
	RequestID string // what GitHub's support asks for; may be empty
}

func (e *APIError) Error() string {
	text := fmt.Sprintf("%s %s: %d %s", e.Method, e.Path, e.Status, http.StatusText(e.Status))
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// RateLimitedError says that GitHub wants no request before RetryAfter has passed, which is longer than this client
// may wait. Nothing was written. The caller keeps the work and comes back.
type RateLimitedError struct {
	RetryAfter time.Duration
}

func (e *RateLimitedError) Error() string {
	return "GitHub's rate limit is used up: retry in " + e.RetryAfter.Round(time.Second).String()
}

// apiErrorFrom reads GitHub's error body, {"message": …, "errors": […]}; anything else is quoted as it came.
func apiErrorFrom(resp *http.Response, method, path string, body []byte) *APIError {
	var said struct {
		Message string          `json:"message"`
		Errors  json.RawMessage `json:"errors"`
	}
	message := string(body)
	if json.Unmarshal(body, &said) == nil && said.Message != "" {
		message = said.Message
		if len(said.Errors) > 0 && string(said.Errors) != "null" {
			message += " " + string(said.Errors)
		}
	}
	return &APIError{
		Status: resp.StatusCode, Method: method, Path: path,
		Message:   safeMessage(message),
		RequestID: safeMessage(resp.Header.Get("X-Github-Request-Id")),
	}
}

// safeMessage redacts before it shortens, so that no half of a token is left over at the cut.
func safeMessage(s string) string {
	return cut(secretPattern.ReplaceAllString(oneLine(s), "[redacted]"), maxMessageBytes, "…")
}

// cut shortens s to at most limit bytes, mark included, without splitting a rune.
func cut(s string, limit int, mark string) string {
	if len(s) <= limit {
		return s
	}
	end := limit - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

// oneLine is s without line breaks and with single spaces.
func oneLine(s string) string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
}

// cutRunes shortens s to at most limit characters, the ellipsis included.
func cutRunes(s string, limit int) string {
	runes := []rune(s)
	if len(runes) <= limit {
		return s
	}
	return string(runes[:limit-1]) + "…"
}

// withoutURL takes the address out of net/http's errors: its query can hold what a log should not.
func withoutURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
