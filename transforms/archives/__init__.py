"""Zip archives behind presigned URLs: fetched and unpacked safely, packed and sent."""
