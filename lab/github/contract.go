package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// maxViolationBytes keeps a schema error, which quotes the value, readable.
const maxViolationBytes = 600

// Violation is one breach of GitHub's description, by a client or by the stand-in itself.
type Violation struct {
	At     time.Time `json:"at"`
	Method string    `json:"method"`
	Path   string    `json:"path"`
	Side   string    `json:"side"` // request or response
	Reason string    `json:"reason"`
}

// contract is GitHub's description, ready to check with.
type contract struct {
	doc         *openapi3.T
	router      routers.Router
	permissions map[string]bool // known keys
}

func newContract(spec []byte, basePath string) (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("loading the API description: %w", err)
	}
	// Without a host, so that localhost and 127.0.0.1 are the same server.
	doc.Servers = openapi3.Servers{{URL: basePath + "/"}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		return nil, fmt.Errorf("routing by the API description: %w", err)
	}
	c := &contract{doc: doc, router: router, permissions: map[string]bool{}}
	for _, name := range describedSchemas() {
		if doc.Components == nil || doc.Components.Schemas[name] == nil {
			return nil, fmt.Errorf("the API description has no schema %q", name)
		}
	}
	for name := range doc.Components.Schemas["app-permissions"].Value.Properties {
		c.permissions[name] = true
	}
	return c, nil
}

// exchange is one request with what its route says about it.
type exchange struct {
	input *openapi3filter.RequestValidationInput
	// operation is "GET /repos/{owner}/{repo}", the name of a handler.
	operation string
	params    map[string]string
	body      []byte
}

var errNotDescribed = errors.New("not in GitHub's description, as far as the stand-in knows it")

// request finds the route and checks the request. An exchange is returned together with a reason to refuse it.
func (c *contract) request(r *http.Request) (*exchange, error) {
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return nil, errNotDescribed
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBodyBytes))
	if err != nil {
		return nil, fmt.Errorf("reading the body: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	x := &exchange{
		input: &openapi3filter.RequestValidationInput{
			Request: r, PathParams: params, Route: route,
			Options: &openapi3filter.Options{
				MultiError: true, IncludeResponseStatus: true, SkipSettingDefaults: true,
				AuthenticationFunc: openapi3filter.NoopAuthenticationFunc,
			},
		},
		operation: r.Method + " " + route.Path, params: params, body: body,
	}
	if err := openapi3filter.ValidateRequest(r.Context(), x.input); err != nil {
		return x, err
	}
	return x, c.missingRules(x)
}

// missingRules are what GitHub enforces and its description does not say.
func (c *contract) missingRules(x *exchange) error {
	var body struct {
		Status      string         `json:"status"`
		Conclusion  string         `json:"conclusion"`
		CompletedAt string         `json:"completed_at"`
		Permissions map[string]any `json:"permissions"`
	}
	if len(x.body) == 0 {
		return nil
	}
	if err := json.Unmarshal(x.body, &body); err != nil {
		return nil //nolint:nilerr // the description's own rules say it better
	}
	if strings.Contains(x.operation, "/check-runs") && body.Conclusion == "" {
		if body.Status == "completed" {
			return errors.New(`status "completed" needs a conclusion`)
		}
		if body.CompletedAt != "" {
			return errors.New("completed_at needs a conclusion")
		}
	}
	for name := range body.Permissions {
		if strings.HasSuffix(x.operation, "/access_tokens") && !c.permissions[name] {
			return fmt.Errorf("unknown permission %q", name)
		}
	}
	return nil
}

// response checks an answer. Known exceptions of GitHub's description, where something less is checked:
//   - 304 is described for few operations and sent for all conditional ones: it must have no body;
//   - 401, 403, 404 and 422 are described for few operations and sent for all: they must have the shape of an error.
func (c *contract) response(ctx context.Context, x *exchange, status int, header http.Header, body []byte) error {
	if status == http.StatusNotModified {
		if len(body) != 0 {
			return errors.New("304 with a body")
		}
		return nil
	}
	if status >= http.StatusBadRequest {
		return c.errorShape(status, body)
	}
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{
		RequestValidationInput: x.input, Status: status, Header: header,
		Body: io.NopCloser(bytes.NewReader(body)), Options: x.input.Options,
	})
}

func (c *contract) errorShape(status int, body []byte) error {
	names := []string{"basic-error"}
	if status == http.StatusUnprocessableEntity {
		names = []string{"validation-error-simple", "validation-error"}
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return fmt.Errorf("an error that is not JSON: %w", err)
	}
	var all []error
	for _, name := range names {
		err := c.doc.Components.Schemas[name].Value.VisitJSON(value)
		if err == nil {
			return nil
		}
		all = append(all, err)
	}
	return errors.Join(all...)
}

func (s *Server) violate(r *http.Request, side string, err error) string {
	reason := strings.Join(strings.Fields(err.Error()), " ")
	if len(reason) > maxViolationBytes {
		reason = strings.ToValidUTF8(reason[:maxViolationBytes], "") + "…"
	}
	s.logger.Warn("contract violated", "phase", r.Method+" "+r.URL.Path, "reason", side+": "+reason)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.violations = append(s.violations, Violation{At: s.now().UTC(), Method: r.Method, Path: r.URL.Path, Side: side, Reason: reason})
	return reason
}

func (s *Server) listViolations(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	list := append([]Violation{}, s.violations...)
	s.mu.Unlock()
	s.writeJSON(w, http.StatusOK, list)
}

func (s *Server) clearViolations(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	s.violations = nil
	s.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}
