// Package image makes small OCI images without a builder: one static binary,
// or a base image from what the machine has.
package image

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Settings are the parts of an image's configuration that the lab uses.
type Settings struct {
	Entrypoint []string
	Cmd        []string
	Env        []string // KEY=VALUE
	User       string
}

// Binary returns an image with the one file at path, in the root directory,
// started with args.
func Binary(path string, args []string, s Settings) (v1.Image, error) {
	base := "/" + filepath.Base(path)
	t := newTree()
	if err := t.copy(base, path); err != nil {
		return nil, fmt.Errorf("packing %s: %w", path, err)
	}
	s.Entrypoint = append([]string{base}, args...)
	return build(t, s)
}

// build packs the tree as one uncompressed layer: on loopback, compressing
// costs more than it saves. The same tree gives the same digest.
func build(t *tree, s Settings) (v1.Image, error) {
	content, err := t.tar()
	if err != nil {
		return nil, fmt.Errorf("packing an image: %w", err)
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err = mutate.AppendLayers(img, static.NewLayer(content, types.OCIUncompressedLayer))
	if err != nil {
		return nil, fmt.Errorf("adding the layer: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading the image's configuration: %w", err)
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = runtime.GOARCH, "linux"
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config.Entrypoint, config.Config.Cmd = s.Entrypoint, s.Cmd
	config.Config.Env, config.Config.User = s.Env, s.User
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		return nil, fmt.Errorf("writing the image's configuration: %w", err)
	}
	return img, nil
}

// exists is for optional content.
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
