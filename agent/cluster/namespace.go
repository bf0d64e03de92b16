package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/inhaul/inhaul/agent"
	"github.com/inhaul/inhaul/agent/render"
)

// ensureNamespace makes the namespace of r and labels it, once per process and
// line.
func (c *Client) ensureNamespace(ctx context.Context, r agent.Release) error {
	if p, policy, others, is := c.previewOf(r); is {
		return c.ensurePreview(ctx, r, p, policy, others...)
	}
	c.mu.Lock()
	known := c.ensured[r.Namespace] == lineKey(r.Line)
	c.mu.Unlock()
	if known {
		return nil
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1",
		"kind":       "Namespace",
		"metadata":   map[string]any{"name": r.Namespace, "labels": render.NamespaceLabels(r)},
	})
	if err != nil {
		return err
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	force := true
	_, err = c.clients.core.Namespaces().Patch(ctx, r.Namespace, types.ApplyPatchType, body,
		metav1.PatchOptions{FieldManager: render.Manager, Force: &force})
	if err != nil {
		return fmt.Errorf("making namespace %s: %w", r.Namespace, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ensured[r.Namespace] = lineKey(r.Line)
	return nil
}

func (c *Client) forgetNamespace(namespace string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.ensured, namespace)
}

// forgetPlace forgets what the cluster had when it was asked last.
func (c *Client) forgetPlace(namespace string) {
	c.forgetNamespace(namespace)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.extensions = extensions{}
}
