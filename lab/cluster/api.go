package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/inhaul/inhaul/lab/layout"
)

const (
	pollEvery      = 50 * time.Millisecond
	requestTimeout = 5 * time.Second
	maxAnswerBytes = 1 << 20 // one small object
)

// API is the little that the lab itself asks of the API server. client-go
// would be a hundred packages for five requests.
type API struct {
	base   string
	token  string
	client *http.Client
}

// NewAPI returns a client with the administrator's token.
func NewAPI(lab *layout.Lab) (*API, error) {
	ca, err := os.ReadFile(lab.CA())
	if err != nil {
		return nil, fmt.Errorf("reading the lab's authority: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	tokens, err := Config{Lab: lab}.tokens()
	if err != nil {
		return nil, fmt.Errorf("reading tokens: %w", err)
	}
	return &API{
		base:  "https://127.0.0.1:" + strconv.Itoa(lab.Ports.API),
		token: tokens["admin"],
		client: &http.Client{
			Timeout:   requestTimeout,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		},
	}, nil
}

// WaitReady returns when /readyz says so.
func (a *API) WaitReady(ctx context.Context) error {
	return a.wait(ctx, "the API server to be ready", func(ctx context.Context) (bool, error) {
		return true, a.call(ctx, http.MethodGet, "/readyz", nil, nil)
	})
}

// WaitNode returns when the node is Ready and the default service account
// exists, without which no pod can be made.
func (a *API) WaitNode(ctx context.Context, name string) error {
	err := a.wait(ctx, "node "+name+" to be ready", func(ctx context.Context) (bool, error) {
		var node struct {
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
		if err := a.call(ctx, http.MethodGet, "/api/v1/nodes/"+name, nil, &node); err != nil {
			return false, err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == "Ready" {
				return c.Status == "True", fmt.Errorf("condition Ready is %s: %s", c.Status, c.Message)
			}
		}
		return false, errors.New("no condition Ready yet")
	})
	if err != nil {
		return err
	}
	return a.wait(ctx, "the default service account", func(ctx context.Context) (bool, error) {
		return true, a.call(ctx, http.MethodGet, "/api/v1/namespaces/default/serviceaccounts/default", nil, nil)
	})
}

// wait polls until done is true without an error of the call itself. The last
// error is in the message when ctx ends.
func (a *API) wait(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	for {
		ok, err := done(ctx)
		var failed *callError
		if ok && !errors.As(err, &failed) {
			return nil
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %w (%w)", what, context.Cause(ctx), err)
		}
	}
}

// BindKubeProxy lets kube-proxy read services.
func (a *API) BindKubeProxy(ctx context.Context) error {
	return a.create(ctx, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
		"metadata": map[string]string{"name": "lab-kube-proxy"},
		"roleRef":  map[string]string{"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:node-proxier"},
		"subjects": []map[string]string{{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:kube-proxy"}},
	})
}

// CreateFakeNode adds the node that kwok plays.
func (a *API) CreateFakeNode(ctx context.Context) error {
	capacity := map[string]string{"cpu": "32", "memory": "256Gi", "pods": "250"}
	return a.create(ctx, "/api/v1/nodes", map[string]any{
		"apiVersion": "v1", "kind": "Node",
		"metadata": map[string]any{
			"name":        layout.FakeNode,
			"annotations": map[string]string{"kwok.x-k8s.io/node": "fake"},
			"labels": map[string]string{
				"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": layout.FakeNode,
			},
		},
		"status": map[string]any{"allocatable": capacity, "capacity": capacity},
	})
}

func (a *API) create(ctx context.Context, path string, object any) error {
	body, err := json.Marshal(object)
	if err != nil {
		return err
	}
	err = a.call(ctx, http.MethodPost, path, body, nil)
	var failed *callError
	if errors.As(err, &failed) && failed.status == http.StatusConflict {
		return nil // from an earlier start
	}
	return err
}

// callError is an answer other than 2xx, or no answer (status 0).
type callError struct {
	path   string
	status int
	cause  error
}

func (e *callError) Error() string {
	return fmt.Sprintf("asking the API server for %s: %v", e.path, e.cause)
}
func (e *callError) Unwrap() error { return e.cause }

func (a *API) call(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return &callError{path, 0, err}
	}
	defer resp.Body.Close()
	content, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return &callError{path, 0, err}
	}
	if resp.StatusCode/100 != 2 {
		const shown = 200
		return &callError{path, resp.StatusCode, fmt.Errorf("%s: %.*s", resp.Status, shown, content)}
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(content, into); err != nil {
		return &callError{path, resp.StatusCode, err}
	}
	return nil
}
