package cluster

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// Watch calls see with what the caches show of the release, at once and then
// whenever something of its app changed, until see returns true (nil) or ctx
// ends (its error). Changes that come while see runs are told in one call. It
// sends no request.
func (c *Client) Watch(ctx context.Context, r agent.Release, see func(agent.Observation) bool) error {
	return c.listen(ctx, r, func() bool { return see(observe(r, c.view(r))) })
}

// listen calls look at once and then whenever something of r's app changed, until
// look returns true or ctx ends.
func (c *Client) listen(ctx context.Context, r agent.Release, look func() bool) error {
	rung, stop := c.bells.listen(namespacedApp(r.Namespace, render.Label(r.Line.App)))
	defer stop()
	for {
		if look() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rung:
		}
	}
}

// view collects what the caches have of the release's app.
func (c *Client) view(r agent.Release) view {
	return view{
		deployments: ofApp[*appsv1.Deployment](c, "Deployment", r.Namespace, r.Line.App),
		replicaSets: ofApp[*appsv1.ReplicaSet](c, "ReplicaSet", r.Namespace, r.Line.App),
		pods:        ofApp[*corev1.Pod](c, "Pod", r.Namespace, r.Line.App),
		slices:      ofApp[*discoveryv1.EndpointSlice](c, "EndpointSlice", r.Namespace, r.Line.App),
	}
}
