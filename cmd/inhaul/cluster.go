package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/inhaul/inhaul/cli"
)

// cluster reads Inhaul's objects from an API server, makes Rollbacks, wakes previews,
// probes their walls, and keeps the agent's GitHub App: a few requests need no more of client-go than how to reach
// it and who asks.
type cluster struct {
	client    http.Client
	base      *url.URL
	namespace string // of the agent
}

var (
	_ cli.Releases   = (*cluster)(nil)
	_ cli.ReleaseLog = (*cluster)(nil)
	_ cli.Rollbacks  = (*cluster)(nil)
	_ cli.Users      = (*cluster)(nil)
	_ cli.Secrets    = (*cluster)(nil)
	_ cli.PreviewLog = (*cluster)(nil)
	_ cli.Quotas     = (*cluster)(nil)
	_ cli.Inspection = (*cluster)(nil)
	_ cli.Trials     = (*cluster)(nil)
)

const (
	ownAPI   = "apis/inhaul.dev/v1alpha1/namespaces"
	pageSize = "25" // Releases in one answer, of which MaxObjectBytes holds too: they have some 170 kB at most

	// maxRefusal is how much is read of why an object is not taken, in bytes.
	maxRefusal = 16 << 10
	// maxWords is how much of that is shown, in characters.
	maxWords = 500
)

// connect finds the cluster as kubectl does, and asks it nothing yet. Nobody is
// followed to another address: the login would go there too.
func connect(c cli.Connection) (cli.Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context}).ClientConfig()
	if err != nil {
		return cli.Cluster{}, err
	}
	config.UserAgent = "inhaul/" + version()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return cli.Cluster{}, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	plain := http.Client{Transport: client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	there := &cluster{client: plain, base: base, namespace: c.Namespace}
	return cli.Cluster{Releases: there, Log: there, Rollbacks: there, Users: there, Secrets: there, PreviewLog: there, Quotas: there, Inspection: there, Trials: there}, err
}

// App implements cli.Releases.
func (c *cluster) App(ctx context.Context, name string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, c.object(c.namespace, "apps", name), nil)
}

// Release implements cli.Releases.
func (c *cluster) Release(ctx context.Context, namespace, name string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, c.object(namespace, "releases", name), nil)
}

// Page implements cli.ReleaseLog.
func (c *cluster) Page(ctx context.Context, namespace, token string) ([]byte, error) {
	address := c.base.JoinPath(ownAPI, url.PathEscape(namespace), "releases")
	address.RawQuery = url.Values{"limit": {pageSize}, "continue": {token}}.Encode()
	return c.send(ctx, http.MethodGet, address, nil)
}

// Ask implements cli.Rollbacks.
func (c *cluster) Ask(ctx context.Context, namespace string, rollback []byte) ([]byte, error) {
	return c.send(ctx, http.MethodPost, c.base.JoinPath(ownAPI, url.PathEscape(namespace), "rollbacks"), rollback)
}

// Rollback implements cli.Rollbacks.
func (c *cluster) Rollback(ctx context.Context, namespace, name string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, c.object(namespace, "rollbacks", name), nil)
}

// Self implements cli.Users.
func (c *cluster) Self(ctx context.Context) ([]byte, error) {
	const review = `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`
	return c.send(ctx, http.MethodPost, c.base.JoinPath("apis/authentication.k8s.io/v1/selfsubjectreviews"), []byte(review))
}

// Previews implements cli.PreviewLog.
func (c *cluster) Previews(ctx context.Context, namespace, token string) ([]byte, error) {
	address := c.base.JoinPath(ownAPI, url.PathEscape(namespace), "previews")
	address.RawQuery = url.Values{"limit": {pageSize}, "continue": {token}}.Encode()
	return c.send(ctx, http.MethodGet, address, nil)
}

// Wake implements cli.PreviewLog, by server-side apply: it sets what it says and
// nothing else.
func (c *cluster) Wake(ctx context.Context, namespace, name string, preview []byte) error {
	address := c.object(namespace, "previews", name)
	address.RawQuery = url.Values{"fieldManager": {"inhaul-wake"}, "force": {"true"}}.Encode()
	_, err := c.send(ctx, http.MethodPatch, address, preview)
	return err
}

// Quota implements cli.Quotas.
func (c *cluster) Quota(ctx context.Context, namespace, name string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, c.base.JoinPath("api/v1/namespaces", url.PathEscape(namespace), "resourcequotas", url.PathEscape(name)), nil)
}

// Read implements cli.Inspection.
func (c *cluster) Read(ctx context.Context, path string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, c.at(path), nil)
}

// Make implements cli.Trials.
func (c *cluster) Make(ctx context.Context, path string, object []byte) error {
	_, err := c.send(ctx, http.MethodPost, c.at(path), object)
	return err
}

// Delete implements cli.Trials.
func (c *cluster) Delete(ctx context.Context, path string) error {
	_, err := c.send(ctx, http.MethodDelete, c.at(path), nil)
	return err
}

// at is the address of a path with its query.
func (c *cluster) at(path string) *url.URL {
	path, query, _ := strings.Cut(path, "?")
	address := c.base.JoinPath(path)
	address.RawQuery = query
	return address
}

func (c *cluster) object(namespace, resource, name string) *url.URL {
	return c.base.JoinPath(ownAPI, url.PathEscape(namespace), resource, url.PathEscape(name))
}

// Secret implements cli.Secrets.
func (c *cluster) Secret(ctx context.Context, namespace, name string) ([]byte, error) {
	return c.send(ctx, http.MethodGet, c.base.JoinPath("api/v1/namespaces", url.PathEscape(namespace), "secrets", url.PathEscape(name)), nil)
}

// fieldManager owns what Keep sets.
const fieldManager = "inhaul-github-app"

// Keep implements cli.Secrets, by server-side apply: what others have put into the
// Secret stays. What the API server says to a conflict is not told: it can quote
// values.
func (c *cluster) Keep(ctx context.Context, namespace, name string, secret []byte, how cli.Keeping) error {
	address := c.base.JoinPath("api/v1/namespaces", url.PathEscape(namespace), "secrets", url.PathEscape(name))
	query := url.Values{"fieldManager": {fieldManager}, "force": {strconv.FormatBool(how.Force)}}
	if how.Try {
		query.Set("dryRun", "All")
	}
	address.RawQuery = query.Encode()
	_, err := c.send(ctx, http.MethodPatch, address, secret)
	return err
}

// send sends one request. What is posted is JSON; what is patched is applied.
func (c *cluster) send(ctx context.Context, method string, address *url.URL, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, address.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	switch {
	case method == http.MethodPatch:
		request.Header.Set("Content-Type", "application/apply-patch+yaml") // of which JSON is a part
	case body != nil:
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // because it is only read from
	cause := errors.New("unexpected answer")
	switch response.StatusCode {
	case http.StatusOK, http.StatusCreated, http.StatusAccepted:
		data, err := io.ReadAll(io.LimitReader(response.Body, cli.MaxObjectBytes+1))
		if err == nil && len(data) > cli.MaxObjectBytes {
			err = fmt.Errorf("the answer has more than %d bytes", cli.MaxObjectBytes)
		}
		return data, err
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return nil, fmt.Errorf("%w: the API server says %s", cli.ErrRefused, words(response))
	case http.StatusConflict:
		return nil, fmt.Errorf("%w: somebody else has set what it says", cli.ErrRefused)
	case http.StatusNotFound:
		cause = cli.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		cause = cli.ErrForbidden
	}
	return nil, fmt.Errorf("%w: the API server says %s", cause, response.Status)
}

// words is why an object is not taken, by the API server's Status, on one line.
func words(response *http.Response) string {
	var status struct {
		Message string `json:"message"`
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxRefusal))
	if err != nil || json.Unmarshal(data, &status) != nil || status.Message == "" {
		return response.Status
	}
	said := []rune(strings.Join(strings.Fields(status.Message), " "))
	return strconv.QuoteToGraphic(string(said[:min(len(said), maxWords)]))
}
