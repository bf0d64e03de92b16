package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
	"github.com/inhaul/inhaul/spec"
)

// extensions are what a cluster has beyond Kubernetes itself.
type extensions struct {
	keda    bool // ScaledObjects
	gateway bool // HTTPRoutes
}

// platform is what the cluster offers r. It asks the API server again when r
// needs what was not there when it was asked last.
func (c *Client) platform(ctx context.Context, r agent.Release) (render.Platform, error) {
	environment := environment(c.Apps(), r.Line)
	routing := environment.Routing
	c.mu.Lock()
	has := c.extensions
	c.mu.Unlock()
	if needs := needed(r.App, environment); needs.keda && !has.keda || needs.gateway && !has.gateway {
		var err error
		if has, err = c.discover(ctx); err != nil {
			return render.Platform{}, err
		}
	}
	on := render.Platform{Routing: routing, Host: environment.Host, KEDA: has.keda, Gateway: has.gateway}
	return on, c.databasePlatform(r, &on)
}

// environment is the platform owner's word on line; the zero value if there is none.
func environment(apps []agent.App, line agent.Line) agent.Environment {
	for _, app := range apps {
		for _, e := range app.Environments {
			if app.Name == line.App && e.Name == line.Environment {
				return e
			}
		}
	}
	return agent.Environment{}
}

// needed is what a cannot be rendered without.
func needed(a spec.App, e agent.Environment) extensions {
	return extensions{
		keda: slices.ContainsFunc(a.Services, func(s spec.Service) bool {
			return s.Scale.Scales() && s.Scale.Queue != spec.Queue{}
		}),
		gateway: e.Routing.Gateway != "" && slices.ContainsFunc(a.Services, func(s spec.Service) bool {
			return s.Public() && (len(s.Domains) > 0 || e.Host != "")
		}),
	}
}

// discover asks the API server what it has beyond Kubernetes itself, and
// remembers the answer.
func (c *Client) discover(ctx context.Context) (found extensions, err error) {
	if found.keda, err = c.serves(ctx, "ScaledObject"); err != nil {
		return extensions{}, err
	}
	if found.gateway, err = c.serves(ctx, "HTTPRoute"); err != nil {
		return extensions{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.extensions = found
	select {
	case c.extended <- struct{}{}:
	default:
	}
	return found, nil
}

// serves reports whether the API server has the kind, in the version that is
// rendered.
func (c *Client) serves(ctx context.Context, kind string) (bool, error) {
	r, ok := c.resource(kind)
	if !ok {
		return false, nil
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	version := r.client.APIVersion()
	body, err := r.client.Get().AbsPath("/apis", version.Group, version.Version).Do(ctx).Raw()
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	var list metav1.APIResourceList
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil {
		return false, fmt.Errorf("asking the API server for %s: %w", version, err)
	}
	return slices.ContainsFunc(list.APIResources, func(served metav1.APIResource) bool { return served.Name == r.plural }), nil
}
