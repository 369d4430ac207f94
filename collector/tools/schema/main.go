// Prints the keys that components of the Collector know, for `python -m collector.tools.schema`.
//
// The names come from the fields of their configurations (mapstructure tags). Whether a name is taken, ignored or
// refused comes from trying: each place is given a strange key, in the component's own way of reading.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
)

// distribution has what is known of contrib without its modules: all names, signals, and names that are gone.
//
//go:embed distribution.json
var distribution []byte

type known struct {
	Source     string                          `json:"source"`
	Components map[string]map[string]knownPart `json:"components"`
	Gone       []json.RawMessage               `json:"gone"`
}

type knownPart struct {
	Aliases []string          `json:"aliases"`
	Signals map[string]string `json:"signals"`
}

func main() {
	var all known
	if err := json.Unmarshal(distribution, &all); err != nil {
		panic(err)
	}
	parts := collect(&all)
	var doubts []string
	for _, p := range parts {
		doubts = append(doubts, p.doubts...)
	}
	if len(doubts) > 0 {
		fmt.Fprintf(os.Stderr, "schema: whether these places take every key is not known:\n%s\n", strings.Join(doubts, "\n"))
		os.Exit(1)
	}
	os.Stdout.Write(written(parts, all.Gone))
}

// collect reads all parts, sorted by kind and name; those without keys are in the distribution and known by name.
func collect(all *known) []*part {
	parts := append(slices.Clone(published), theService())
	for kind, made := range factories {
		for _, newFactory := range made {
			parts = append(parts, built(kind, newFactory))
		}
	}
	names := map[string]bool{}
	for _, p := range parts {
		p.read()
		names[p.kind+"/"+p.name] = true
		if p.signals == nil {
			in := all.Components[p.kind][p.name]
			p.signals, p.aliases = in.Signals, in.Aliases
		}
	}
	for kind, components := range all.Components {
		for name, in := range components {
			if !names[kind+"/"+name] {
				parts = append(parts, &part{kind: kind, name: name, signals: in.Signals, aliases: in.Aliases, source: all.Source})
			}
		}
	}
	slices.SortFunc(parts, func(a, b *part) int { return strings.Compare(a.kind+"/"+a.name, b.kind+"/"+b.name) })
	return parts
}

// written is one line a part, and one for each structure that stands in more than one place.
func written(parts []*part, gone []json.RawMessage) []byte {
	shared := share(parts)
	var components []string
	for _, p := range parts {
		line := struct {
			Kind    string            `json:"kind"`
			Type    string            `json:"type,omitempty"`
			Aliases []string          `json:"aliases,omitempty"`
			Signals map[string]string `json:"signals,omitempty"`
			Source  string            `json:"source"`
			Keys    json.RawMessage   `json:"keys,omitempty"`
		}{p.kind, p.name, p.aliases, p.signals, p.source, nil}
		if p.keys != nil {
			line.Keys = p.keys.encode(shared.refer)
		}
		components = append(components, string(quoted(line)))
	}
	var structures []string
	for _, name := range sortedNames(shared.definitions) {
		structures = append(structures, string(quoted(name))+":"+string(shared.definitions[name]))
	}
	var removed []string
	for _, line := range gone {
		var compact bytes.Buffer
		if err := json.Compact(&compact, line); err != nil {
			panic(err)
		}
		removed = append(removed, compact.String())
	}
	return fmt.Appendf(nil, "{\"shared\":{\n%s\n},\"components\":[\n%s\n],\"gone\":[\n%s\n]}\n",
		strings.Join(structures, ",\n"), strings.Join(components, ",\n"), strings.Join(removed, ",\n"))
}
