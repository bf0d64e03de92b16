package github

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	descriptionPackage = "@octokit/openapi"
	descriptionVersion = "23.0.2"
	descriptionFile    = "package/generated/api.github.com.json"

	// maxDescriptionBytes is five times what the file has now.
	maxDescriptionBytes = 64 << 20
	packTimeout         = 5 * time.Minute
)

// describedPaths are the paths that the stand-in knows; describedSchemas are the shapes of errors, which GitHub's
// description does not tie to every operation.
func describedPaths() []string {
	return []string{
		"/app-manifests/{code}/conversions",
		"/app/installations/{installation_id}/access_tokens",
		"/rate_limit",
		"/repos/{owner}/{repo}",
		"/repos/{owner}/{repo}/check-runs",
		"/repos/{owner}/{repo}/check-runs/{check_run_id}",
		"/repos/{owner}/{repo}/commits/{commit_sha}/pulls",
		"/repos/{owner}/{repo}/commits/{ref}/check-runs",
		"/repos/{owner}/{repo}/commits/{ref}/status",
		"/repos/{owner}/{repo}/commits/{ref}/statuses",
		"/repos/{owner}/{repo}/deployments",
		"/repos/{owner}/{repo}/deployments/{deployment_id}",
		"/repos/{owner}/{repo}/deployments/{deployment_id}/statuses",
		"/repos/{owner}/{repo}/installation",
		"/repos/{owner}/{repo}/issues/comments/{comment_id}",
		"/repos/{owner}/{repo}/issues/{issue_number}/comments",
		"/repos/{owner}/{repo}/pulls",
		"/repos/{owner}/{repo}/pulls/{pull_number}",
		"/repos/{owner}/{repo}/statuses/{sha}",
		"/user",
	}
}

func describedSchemas() []string {
	return []string{"app-permissions", "basic-error", "validation-error", "validation-error-simple"}
}

// Description returns the needed part of GitHub's own OpenAPI description. It is taken from GitHub's npm package on
// first use (29 MB, needs npm and network) and kept in cacheDir afterwards.
func Description(ctx context.Context, cacheDir string) ([]byte, error) {
	wanted := sha256.Sum256([]byte(strings.Join(slices.Concat(describedPaths(), describedSchemas()), "\n")))
	cached := filepath.Join(cacheDir, fmt.Sprintf("github-openapi-%s-%x.json", descriptionVersion, wanted[:4]))
	if text, err := os.ReadFile(cached); err == nil { // a path of our own making
		return text, nil
	}
	full, err := packedDescription(ctx)
	if err != nil {
		return nil, fmt.Errorf("fetching GitHub's API description: %w", err)
	}
	slim, err := slimmed(full)
	if err != nil {
		return nil, fmt.Errorf("slimming GitHub's API description: %w", err)
	}
	if err := writeAtomically(cached, slim); err != nil {
		return nil, fmt.Errorf("caching GitHub's API description: %w", err)
	}
	return slim, nil
}

// packedDescription takes one file out of the package, which unpacked has 385 MB.
func packedDescription(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, packTimeout)
	defer cancel()
	dir, err := os.MkdirTemp("", "github-openapi-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) // a leftover in the temporary directory harms nobody
	name := descriptionPackage + "@" + descriptionVersion
	pack := exec.CommandContext(ctx, "npm", "pack", "--silent", "--ignore-scripts", "--pack-destination", dir, name) // constants
	pack.Dir = dir
	if out, err := pack.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("npm pack %s: %w: %s", name, err, bytes.TrimSpace(out[max(0, len(out)-300):]))
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(packed) != 1 {
		return nil, fmt.Errorf("npm pack %s: got %d files, want 1", name, len(packed))
	}
	file, err := os.Open(packed[0])
	if err != nil {
		return nil, err
	}
	defer file.Close() // only read
	return fileInTarball(file, descriptionFile)
}

func fileInTarball(r io.Reader, name string) ([]byte, error) {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	archive := tar.NewReader(unzipped)
	for {
		entry, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("the package has no %s", name)
		}
		if err != nil {
			return nil, err
		}
		if entry.Name != name {
			continue
		}
		if entry.Size > maxDescriptionBytes {
			return nil, fmt.Errorf("%s has %d bytes, want at most %d", name, entry.Size, maxDescriptionBytes)
		}
		return io.ReadAll(archive)
	}
}

// slimmed keeps the described paths and schemas with everything that they refer to.
func slimmed(full []byte) ([]byte, error) {
	var doc map[string]any
	decoder := json.NewDecoder(bytes.NewReader(full))
	decoder.UseNumber()
	if err := decoder.Decode(&doc); err != nil {
		return nil, err
	}
	paths, _ := doc["paths"].(map[string]any)
	kept := map[string]any{}
	for _, path := range describedPaths() {
		item, ok := paths[path]
		if !ok {
			return nil, fmt.Errorf("version %s has no path %s", descriptionVersion, path)
		}
		kept[path] = item
	}
	all, _ := doc["components"].(map[string]any)
	reachable := components{all: all, kept: map[string]map[string]any{}}
	for _, name := range describedSchemas() {
		if err := reachable.keep("#/components/schemas/" + name); err != nil {
			return nil, err
		}
	}
	if err := reachable.walk(kept); err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{
		"openapi": doc["openapi"], "info": doc["info"], "servers": doc["servers"], "paths": kept, "components": reachable.kept,
	})
}

// components collects what is reachable.
type components struct {
	all  map[string]any
	kept map[string]map[string]any // by kind and name
}

func (c components) walk(node any) error {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			if err := c.walk(child); err != nil {
				return err
			}
		}
	case map[string]any:
		if ref, ok := node["$ref"].(string); ok {
			return c.keep(ref)
		}
		for _, child := range node {
			if err := c.walk(child); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c components) keep(ref string) error {
	kind, name, ok := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
	ofKind, _ := c.all[kind].(map[string]any)
	target, found := ofKind[name]
	if !ok || !found {
		return fmt.Errorf("reference %q leads nowhere", ref)
	}
	if _, seen := c.kept[kind][name]; seen {
		return nil
	}
	if c.kept[kind] == nil {
		c.kept[kind] = map[string]any{}
	}
	c.kept[kind][name] = target
	return c.walk(target)
}
