// Package byteio stands in for a module that the Go proxy does not serve: of it seata-go uses one call.
package byteio

import (
	"encoding/binary"
	"io"
)

// BigEndianReader reads numbers with their highest byte first.
type BigEndianReader struct {
	io.Reader
}

// ReadInt16 answers the number and how many bytes it took.
func (r *BigEndianReader) ReadInt16() (int16, int, error) {
	var bytes [2]byte
	n, err := io.ReadFull(r.Reader, bytes[:])
	return int16(binary.BigEndian.Uint16(bytes[:])), n, err
}
