package main

import "fmt"

// Structures below this many bytes stand where they are, and are no definitions of their own.
const smallest = 100

// sharing gives names to structures that stand in more than one place.
type sharing struct {
	expanded    map[*key]string
	names       map[string]string
	definitions map[string][]byte
}

func share(parts []*part) *sharing {
	s := &sharing{map[*key]string{}, map[string]string{}, map[string][]byte{}}
	count := map[string]int{}
	var order []*key
	for _, p := range parts {
		if p.keys == nil {
			continue
		}
		p.keys.encode(func(k *key, encoded []byte) string {
			s.expanded[k] = string(encoded)
			count[string(encoded)]++
			order = append(order, k)
			return ""
		})
	}
	used := map[string]int{}
	for _, k := range order {
		expanded := s.expanded[k]
		if k.goType == "" || count[expanded] < 2 || len(expanded) < smallest || s.names[expanded] != "" {
			continue
		}
		used[k.goType]++
		s.names[expanded] = k.goType
		if n := used[k.goType]; n > 1 {
			s.names[expanded] = fmt.Sprintf("%s.%d", k.goType, n)
		}
	}
	return s
}

func (s *sharing) refer(k *key, encoded []byte) string {
	name := s.names[s.expanded[k]]
	if name != "" {
		s.definitions[name] = encoded
	}
	return name
}
