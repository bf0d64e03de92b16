package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/inhaul/inhaul/cli"
)

// cluster reads objects from an API server: two GETs need no more of client-go
// than how to reach it and who asks.
type cluster struct {
	client    http.Client
	base      *url.URL
	namespace string // of the agent
}

var _ cli.Releases = (*cluster)(nil)

// connect finds the cluster as kubectl does, and asks it nothing yet. Nobody is
// followed to another address: the login would go there too.
func connect(c cli.Connection) (cli.Releases, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.Kubeconfig
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.Context}).ClientConfig()
	if err != nil {
		return nil, err
	}
	config.UserAgent = "inhaul/" + version()
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	plain := http.Client{Transport: client.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return &cluster{client: plain, base: base, namespace: c.Namespace}, err
}

// App implements cli.Releases.
func (c *cluster) App(ctx context.Context, name string) ([]byte, error) {
	return c.get(ctx, c.namespace, "apps", name)
}

// Release implements cli.Releases.
func (c *cluster) Release(ctx context.Context, namespace, name string) ([]byte, error) {
	return c.get(ctx, namespace, "releases", name)
}

func (c *cluster) get(ctx context.Context, namespace, resource, name string) ([]byte, error) {
	address := c.base.JoinPath("apis/inhaul.dev/v1alpha1/namespaces", url.PathEscape(namespace), resource, url.PathEscape(name))
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := c.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close() //nolint:errcheck // because it is only read from
	cause := errors.New("unexpected answer")
	switch response.StatusCode {
	case http.StatusOK:
		data, err := io.ReadAll(io.LimitReader(response.Body, cli.MaxObjectBytes+1))
		if err == nil && len(data) > cli.MaxObjectBytes {
			err = fmt.Errorf("the answer has more than %d bytes", cli.MaxObjectBytes)
		}
		return data, err
	case http.StatusNotFound:
		cause = cli.ErrNotFound
	case http.StatusUnauthorized, http.StatusForbidden:
		cause = cli.ErrForbidden
	}
	return nil, fmt.Errorf("%w: the API server says %s", cause, response.Status)
}
